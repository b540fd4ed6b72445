package packages

import "strings"

// DebianVersion makes a version of Go's into one that Debian, RPM and opkg order
// as Go does: what comes before a release, which Go writes behind "-", is put
// behind "~".
//
//	v1.2.3                                 1.2.3
//	v1.3.0-rc.1                            1.3.0~rc.1
//	v1.2.4-0.20261121150405-0123456789ab   1.2.4~0.20261121150405.0123456789ab
//	v1.2.3+dirty                           1.2.3+dirty
func DebianVersion(version string) string {
	version = strings.TrimPrefix(version, "v")
	version, build, hasBuild := strings.Cut(version, "+")
	version = strings.Replace(version, "-", "~", 1)
	if hasBuild {
		version += "+" + build
	}
	return strings.ReplaceAll(version, "-", ".")
}
