package release

import (
	"slices"
	"strings"
)

// marks are phrases that only one licence has, by its SPDX identifier.
var marks = []struct{ id, phrase string }{
	{"Apache-2.0", "apache license version 2.0, january 2004"},
	{"MIT", "permission is hereby granted, free of charge, to any person obtaining a copy"},
	{"MPL-2.0", "mozilla public license version 2.0"},
	{"EPL-2.0", "eclipse public license - v 2.0"},
	{"ISC", "permission to use, copy, modify, and/or distribute this software for any purpose with or without fee"},
	{"Unlicense", "this is free and unencumbered software released into the public domain"},
}

const (
	bsd          = "redistribution and use in source and binary forms"
	bsdThird     = "endorse or promote products"
	dualLicences = "dual-licensing"
)

// Expression is what the texts amount to as an SPDX licence expression:
// NOASSERTION where nothing in them is known. Several licences are joined by AND,
// which asks for more rather than less, unless a text says that one of them is to
// be chosen.
func (l *Licence) Expression() string {
	found := make(map[string]bool)
	choice := false
	for _, f := range l.Files {
		text := strings.ToLower(strings.Join(strings.Fields(string(f.Text)), " "))
		for _, m := range marks {
			if strings.Contains(text, m.phrase) {
				found[m.id] = true
			}
		}
		if strings.Contains(text, bsd) {
			if strings.Contains(text, bsdThird) {
				found["BSD-3-Clause"] = true
			} else {
				found["BSD-2-Clause"] = true
			}
		}
		choice = choice || strings.Contains(text, dualLicences)
	}
	var ids []string
	for id := range found {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	switch {
	case len(ids) == 0:
		return "NOASSERTION"
	case choice:
		return strings.Join(ids, " OR ")
	}
	return strings.Join(ids, " AND ")
}
