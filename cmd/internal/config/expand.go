package config

import (
	"fmt"
	"regexp"
	"strings"
)

// reference is ${NAME}, $${ which stands for itself, or ${ that is neither.
var reference = regexp.MustCompile(`\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$\{`)

// expand replaces ${NAME} by what the environment has for it, and $${ by ${. What
// comes from the environment is taken as it is.
func expand(text string, env func(string) (string, bool)) (expanded string, faults []string) {
	expanded = reference.ReplaceAllStringFunc(text, func(found string) string {
		name := strings.TrimSuffix(strings.TrimPrefix(found, "${"), "}")
		switch found {
		case "$${":
			return "${"
		case "${":
			faults = append(faults, "${ begins the name of an environment variable, as in ${NAME}; write $${ for the characters themselves")
			return found
		}
		value, ok := env(name)
		if !ok {
			faults = append(faults, fmt.Sprintf("the environment variable %s is not set", name))
		}
		return value
	})
	return expanded, faults
}
