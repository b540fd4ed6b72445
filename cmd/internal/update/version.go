package update

import (
	"cmp"
	"fmt"
	"strings"
)

// version is a semantic version (semver.org 2.0.0), with or without the v that Go
// writes before it. Build metadata takes no part in the order.
type version struct {
	core [3]string // digits without leading zeros
	pre  []string  // identifiers of a pre-release
}

func parseVersion(text string) (v version, err error) {
	rest := strings.TrimPrefix(text, "v")
	rest, _, _ = strings.Cut(rest, "+")
	core, pre, isPre := strings.Cut(rest, "-")
	parts := strings.Split(core, ".")
	bad := len(parts) != 3 || isPre && pre == "" || len(text) > 63
	if !bad {
		for i, p := range parts {
			bad = bad || !isNumber(p)
			v.core[i] = p
		}
	}
	if isPre {
		v.pre = strings.Split(pre, ".")
		for _, p := range v.pre {
			bad = bad || p == "" || strings.Trim(p, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-") != ""
		}
	}
	if bad {
		return version{}, fmt.Errorf("%q is no version such as v1.2.3 (semver.org), which can be told to be older or newer", text)
	}
	return v, nil
}

// compareVersions orders versions as semver.org does in section 11.
func compareVersions(a, b version) int {
	for i := range a.core {
		if c := compareNumbers(a.core[i], b.core[i]); c != 0 {
			return c
		}
	}
	switch {
	case len(a.pre) == 0 || len(b.pre) == 0:
		return cmp.Compare(len(b.pre), len(a.pre)) // a release is newer than what came before it
	}
	for i := range min(len(a.pre), len(b.pre)) {
		if c := compareIdentifiers(a.pre[i], b.pre[i]); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a.pre), len(b.pre))
}

func compareIdentifiers(a, b string) int {
	switch na, nb := isNumber(a), isNumber(b); {
	case na && nb:
		return compareNumbers(a, b)
	case na:
		return -1
	case nb:
		return 1
	}
	return cmp.Compare(a, b)
}

// isNumber says whether a text is digits without a leading zero.
func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == "" && (s == "0" || s[0] != '0')
}

// compareNumbers orders numbers of any length.
func compareNumbers(a, b string) int {
	if c := cmp.Compare(len(a), len(b)); c != 0 {
		return c
	}
	return cmp.Compare(a, b)
}
