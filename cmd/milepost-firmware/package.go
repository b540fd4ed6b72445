package main

import (
	"context"
	"flag"
	"fmt"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"milepost/firmware/packages"
	"milepost/firmware/release"
)

var packageCommand = &command{
	name:    "package",
	summary: "packages for Debian, Fedora and OpenWrt",
	usage:   "[-o DIR] [--format deb,rpm,ipk] [--maintainer 'NAME <ADDRESS>'] [--openwrt ARCH] BINARY …",
	detail: `
Makes packages of each BINARY that build has made: .deb, .rpm, and one .ipk for
each architecture of OpenWrt that the binary is for (opkg print-architecture
says which a router is).
SHA256SUMS has the checksums of all that is in DIR.

Times in the packages are that of the commit, or SOURCE_DATE_EPOCH.`,
	run: runPackage,
}

// maintainer is who packages are from, unless whoever builds them says who it is.
const maintainer = "The milepost authors <milepost@users.noreply.github.com>"

func runPackage(ctx context.Context, inv *invocation, c *command, args []string) error {
	dir, formats, who, openwrt := filepath.Join("out", "dist"), "deb,rpm,ipk", maintainer, ""
	paths, err := c.parse(inv, args, func(flags *flag.FlagSet) {
		flags.StringVar(&dir, "o", dir, "the `DIR` to write to")
		flags.StringVar(&formats, "format", formats, "which `FORMATS` to make")
		flags.StringVar(&who, "maintainer", who, "`WHO` the packages are from")
		flags.StringVar(&openwrt, "openwrt", "", "make the .ipk for this `ARCH` instead of the usual ones")
	})
	if err != nil {
		return err
	}
	if len(paths) == 0 {
		return usagef("which BINARY?")
	}
	if address, err := mail.ParseAddress(who); err != nil || address.Name == "" {
		return usagef("--maintainer %q is not NAME <ADDRESS>", who)
	}
	wanted := strings.Split(formats, ",")
	for _, f := range wanted {
		if !slices.Contains([]string{"deb", "rpm", "ipk"}, f) {
			return usagef("--format %s is none of deb, rpm and ipk", f)
		}
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	for _, path := range paths {
		made, err := inv.describe(ctx, path)
		if err != nil {
			return err
		}
		made.contents.Maintainer = who
		if openwrt != "" {
			made.Target.OpenWrt = []string{openwrt}
		}
		for _, format := range wanted {
			if err := made.writePackages(inv, format, dir); err != nil {
				return err
			}
		}
	}
	return release.WriteChecksums(dir)
}

// writePackages writes those of a format; none if the format does not know the
// architecture.
func (d *description) writePackages(inv *invocation, format, dir string) error {
	t := &d.Target
	write := func(name string, body []byte, err error) error {
		if err != nil {
			return err
		}
		return inv.write(filepath.Join(dir, name), body)
	}
	switch {
	case format == "deb" && t.Debian != "":
		p := d.contents.Deb(t.Debian)
		body, err := p.Deb()
		return write(fmt.Sprintf("milepost_%s_%s.deb", p.Version, p.Arch), body, err)
	case format == "rpm" && t.RPM != "":
		p := d.contents.RPM(t.RPM)
		body, err := p.RPM()
		return write(fmt.Sprintf("milepost-%s-%s.%s.rpm", p.Version, packages.Release, p.Arch), body, err)
	case format == "ipk":
		for _, arch := range t.OpenWrt {
			p := d.contents.IPK(arch)
			body, err := p.IPK()
			if err := write(fmt.Sprintf("milepost_%s_%s.ipk", p.Version, p.Arch), body, err); err != nil {
				return err
			}
		}
	}
	return nil
}
