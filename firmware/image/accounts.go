package image

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// accounts are the users and groups of a system: those that Debian's base-passwd
// has, and those that packages declare for systemd-sysusers (sysusers.d(5)). Their
// numbers are the same in every build, because files of the data partition belong
// to them. Nobody has a password.
type accounts struct {
	users   []user
	groups  []group
	members map[string][]string // of groups
}

type user struct {
	name, comment, home, shell string
	id, group                  int
}

type group struct {
	name string
	id   int
}

// fixed are numbers below those that Debian gives to people, and above those that
// it gives to packages. What is not listed gets one from dynamicID downward; none of
// those owns anything that outlasts a start.
var fixed = map[string]int{
	"milepost": 800, "gpio": 801, "i2c": 802,
	"sshd": 810, "messagebus": 811, "systemd-network": 812, "systemd-resolve": 813, "systemd-timesync": 814, "systemd-journal": 815,
}

const dynamicID = 790

func newAccounts(passwd, groups string) (*accounts, error) {
	a := &accounts{members: map[string][]string{}}
	for line := range strings.Lines(groups) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) != 4 {
			return nil, fmt.Errorf("group.master: %q", line)
		}
		id, err := strconv.Atoi(f[2])
		if err != nil {
			return nil, fmt.Errorf("group.master: %q", line)
		}
		a.groups = append(a.groups, group{f[0], id})
	}
	for line := range strings.Lines(passwd) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) != 7 {
			return nil, fmt.Errorf("passwd.master: %q", line)
		}
		id, err := strconv.Atoi(f[2])
		gid, err2 := strconv.Atoi(f[3])
		if err != nil || err2 != nil {
			return nil, fmt.Errorf("passwd.master: %q", line)
		}
		a.users = append(a.users, user{f[0], f[4], f[5], f[6], id, gid})
	}
	return a, nil
}

func (a *accounts) groupID(name string) (int, bool) {
	i := slices.IndexFunc(a.groups, func(g group) bool { return g.name == name })
	if i < 0 {
		return 0, false
	}
	return a.groups[i].id, true
}

// number is that of a new user or group.
func (a *accounts) number(name string) int {
	if id, ok := fixed[name]; ok {
		return id
	}
	id := dynamicID
	for slices.ContainsFunc(a.groups, func(g group) bool { return g.id == id }) || slices.ContainsFunc(a.users, func(u user) bool { return u.id == id }) {
		id--
	}
	return id
}

func (a *accounts) addGroup(name string) int {
	if id, ok := a.groupID(name); ok {
		return id
	}
	id := a.number(name)
	a.groups = append(a.groups, group{name, id})
	return id
}

// declare reads a file of sysusers.d. Numbers in it are not looked at unless Debian
// fixes them in base-passwd too.
func (a *accounts) declare(text string) error {
	for line := range strings.Lines(text) {
		f := fields(line)
		if len(f) == 0 || strings.HasPrefix(f[0], "#") {
			continue
		}
		get := func(i int) string {
			if i < len(f) && f[i] != "-" {
				return f[i]
			}
			return ""
		}
		switch kind := strings.TrimRight(f[0], "!"); {
		case kind == "g" && len(f) > 1:
			a.addGroup(f[1])
		case kind == "u" && len(f) > 1:
			name := f[1]
			if slices.ContainsFunc(a.users, func(u user) bool { return u.name == name }) {
				continue
			}
			u := user{name: name, comment: get(3), home: get(4), shell: get(5)}
			if u.home == "" {
				u.home = "/"
			}
			if u.shell == "" {
				u.shell = "/usr/sbin/nologin"
			}
			u.id = a.number(name)
			u.group = u.id
			if _, other, ok := strings.Cut(get(2), ":"); ok {
				id, known := a.groupID(other)
				if !known {
					var err error
					if id, err = strconv.Atoi(other); err != nil {
						return fmt.Errorf("%q: there is no group %s", line, other)
					}
				}
				u.group = id
			} else {
				u.group = a.addGroup(name)
			}
			a.users = append(a.users, u)
		case kind == "m" && len(f) > 2:
			a.addGroup(f[2])
			a.members[f[2]] = append(a.members[f[2]], f[1])
		case kind == "r":
		default:
			return fmt.Errorf("%q is not understood", strings.TrimSpace(line))
		}
	}
	return nil
}

// fields are the words of a line; one in quotation marks may have blanks.
func fields(line string) (words []string) {
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		if rest, ok := strings.CutPrefix(line, `"`); ok {
			word, after, _ := strings.Cut(rest, `"`)
			words, line = append(words, word), after
			continue
		}
		end := strings.IndexAny(line, " \t")
		if end < 0 {
			end = len(line)
		}
		words, line = append(words, line[:end]), line[end:]
	}
	return words
}

// files are passwd, group and shadow. A password of "*" matches none.
func (a *accounts) files() (passwd, groups, shadow string) {
	var p, g, s strings.Builder
	for _, u := range a.users {
		fmt.Fprintf(&p, "%s:x:%d:%d:%s:%s:%s\n", u.name, u.id, u.group, u.comment, u.home, u.shell)
		fmt.Fprintf(&s, "%s:*:::::::\n", u.name)
	}
	for _, x := range a.groups {
		fmt.Fprintf(&g, "%s:x:%d:%s\n", x.name, x.id, strings.Join(a.members[x.name], ","))
	}
	return p.String(), g.String(), s.String()
}
