package packages

import (
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Tags of RPM's headers (rpm's rpmtag.h), as far as they are used.
const (
	tagHeaderSignatures = 62
	tagHeaderImmutable  = 63
	tagI18NTable        = 100

	sigSHA1   = 269
	sigSHA256 = 273
	sigSize   = 1000
	sigMD5    = 1004

	tagName, tagVersion, tagRelease        = 1000, 1001, 1002
	tagSummary, tagDescription             = 1004, 1005
	tagBuildTime, tagBuildHost             = 1006, 1007
	tagSize, tagLicense, tagPackager       = 1009, 1014, 1015
	tagGroup, tagURL, tagOS, tagArch       = 1016, 1020, 1021, 1022
	tagPreIn, tagPostIn                    = 1023, 1024
	tagPreUn, tagPostUn                    = 1025, 1026
	tagFileSizes, tagFileModes             = 1028, 1030
	tagFileRdevs, tagFileMtimes            = 1033, 1034
	tagFileDigests, tagFileLinkTos         = 1035, 1036
	tagFileFlags                           = 1037
	tagFileUserName, tagFileGroupName      = 1039, 1040
	tagSourceRPM, tagFileVerifyFlags       = 1044, 1045
	tagProvideName                         = 1047
	tagRequireFlags, tagRequireName        = 1048, 1049
	tagRequireVersion                      = 1050
	tagPreInProg, tagPostInProg            = 1085, 1086
	tagPreUnProg, tagPostUnProg            = 1087, 1088
	tagFileDevices, tagFileInodes          = 1095, 1096
	tagFileLangs                           = 1097
	tagProvideFlags, tagProvideVersion     = 1112, 1113
	tagDirIndexes, tagBaseNames            = 1116, 1117
	tagDirNames                            = 1118
	tagPayloadFormat, tagPayloadCompressor = 1124, 1125
	tagPayloadFlags                        = 1126
	tagFileDigestAlgo                      = 5011
	tagPayloadDigest, tagPayloadDigestAlgo = 5092, 5093
)

const (
	digestSHA256 = 8 // as OpenPGP numbers them

	fileConfig, fileNoReplace = 1 << 0, 1 << 4 // RPMFILE_CONFIG, RPMFILE_NOREPLACE
	fileDoc                   = 1 << 1

	senseEqual      = 1 << 3
	senseLessEqual  = 1<<1 | 1<<3
	senseRPMLib     = 1 << 24
	senseScriptPost = 1 << 10
)

// Release is the number of a package among those of its version.
const Release = "1"

// RPM writes an RPM package of version 4 of the format (rpm's docs/manual/
// format.md): a lead, a header of digests, the header, and a compressed cpio
// archive. It is not signed.
//
// Folders belong to a package where they are named in Files, as RPM has it.
func (p *Package) RPM() ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	files := p.rpmFiles()
	archive := cpio(files, p.Time)
	var compressed bytes.Buffer
	gz, err := gzip.NewWriterLevel(&compressed, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := gz.Write(archive); err != nil {
		return nil, err
	}
	if err := gz.Close(); err != nil {
		return nil, err
	}
	payload := compressed.Bytes()
	header := p.rpmHeader(files, payload).encode(tagHeaderImmutable)

	var signature rpmHeader
	sum1, sum256 := sha1.Sum(header), sha256.Sum256(header)
	signature.text(sigSHA1, hex.EncodeToString(sum1[:]))
	signature.text(sigSHA256, hex.EncodeToString(sum256[:]))
	signature.int32s(sigSize, uint32(len(header)+len(payload)))
	both := md5.Sum(slices.Concat(header, payload))
	signature.binary(sigMD5, both[:])

	out := bytes.NewBuffer(p.rpmLead())
	out.Write(signature.encode(tagHeaderSignatures))
	for out.Len()%8 != 0 {
		out.WriteByte(0)
	}
	out.Write(header)
	out.Write(payload)
	return out.Bytes(), nil
}

// rpmLead is the first 96 bytes. They have had no meaning since long, but for the
// magic number by which file(1) knows a package.
func (p *Package) rpmLead() []byte {
	lead := make([]byte, 96)
	copy(lead, "\xed\xab\xee\xdb\x03\x00")   // version 3.0; 2 bytes of type follow: 0, binary
	binary.BigEndian.PutUint16(lead[8:], 1)  // architecture
	copy(lead[10:75], p.Name+"-"+p.Version)  // ends in a zero byte
	binary.BigEndian.PutUint16(lead[76:], 1) // system: Linux
	binary.BigEndian.PutUint16(lead[78:], 5) // signature: a header
	return lead
}

// rpmFiles are the files in the order of their folders, with the folders that
// Files names.
func (p *Package) rpmFiles() []File {
	files := slices.Clone(p.Files)
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files
}

func (p *Package) rpmHeader(files []File, payload []byte) *rpmHeader {
	h := new(rpmHeader)
	h.texts(tagI18NTable, "C")
	h.text(tagName, p.Name)
	h.text(tagVersion, p.Version)
	h.text(tagRelease, Release)
	h.translated(tagSummary, p.Summary)
	h.translated(tagDescription, strings.TrimSpace(p.Description))
	h.int32s(tagBuildTime, uint32(p.Time.Unix()))
	h.text(tagBuildHost, "localhost") // the builder's name is no part of what it builds
	h.text(tagLicense, p.License)
	h.text(tagPackager, p.Maintainer)
	h.translated(tagGroup, "Unspecified")
	if p.Homepage != "" {
		h.text(tagURL, p.Homepage)
	}
	h.text(tagOS, "linux")
	h.text(tagArch, p.Arch)
	for _, s := range []struct {
		text         string
		tag, program uint32
	}{
		{p.Scripts.BeforeInstall, tagPreIn, tagPreInProg},
		{p.Scripts.AfterInstall, tagPostIn, tagPostInProg},
		{p.Scripts.BeforeRemove, tagPreUn, tagPreUnProg},
		{p.Scripts.AfterRemove, tagPostUn, tagPostUnProg},
	} {
		if s.text != "" {
			h.text(s.tag, s.text)
			h.text(s.program, "/bin/sh")
		}
	}
	h.text(tagSourceRPM, p.Name+"-"+p.Version+"-"+Release+".src.rpm") // without it, this would be a source package
	p.rpmRelations(h)
	rpmFileTable(h, files, uint32(p.Time.Unix()))
	h.text(tagPayloadFormat, "cpio")
	h.text(tagPayloadCompressor, "gzip")
	h.text(tagPayloadFlags, "9")
	digest := sha256.Sum256(payload)
	h.texts(tagPayloadDigest, hex.EncodeToString(digest[:]))
	h.int32s(tagPayloadDigestAlgo, digestSHA256)
	return h
}

// rpmRelations are what the package provides and needs, rpm's own abilities
// included.
func (p *Package) rpmRelations(h *rpmHeader) {
	h.texts(tagProvideName, p.Name)
	h.texts(tagProvideVersion, p.Version+"-"+Release)
	h.int32s(tagProvideFlags, senseEqual)
	names := []string{"rpmlib(CompressedFileNames)", "rpmlib(FileDigests)", "rpmlib(PayloadFilesHavePrefix)"}
	versions := []string{"3.0.4-1", "4.6.0-1", "4.0-1"}
	flags := []uint32{senseRPMLib | senseLessEqual, senseRPMLib | senseLessEqual, senseRPMLib | senseLessEqual}
	if strings.Contains(p.Version, "~") {
		names, versions, flags = append(names, "rpmlib(TildeInVersions)"), append(versions, "4.10.0-1"), append(flags, senseRPMLib|senseLessEqual)
	}
	for _, name := range p.Depends {
		names, versions, flags = append(names, name), append(versions, ""), append(flags, senseScriptPost)
	}
	h.texts(tagRequireName, names...)
	h.texts(tagRequireVersion, versions...)
	h.int32s(tagRequireFlags, flags...)
}

// rpmFileTable says of each file what rpm keeps in its database.
func rpmFileTable(h *rpmHeader, files []File, when uint32) {
	var dirs, names, digests, links, users, langs []string
	var sizes, times, flags, verify, devices, inodes, indexes []uint32
	var modes, rdevs []uint16
	total := 0
	for i, f := range files {
		dir := strings.TrimSuffix(path.Dir(f.Path), "/") + "/"
		if !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
		indexes = append(indexes, uint32(slices.Index(dirs, dir)))
		names = append(names, path.Base(f.Path))
		size, digest, flag := len(f.Body), "", uint32(0)
		switch {
		case f.Mode.IsDir():
			size = 4096
		case f.Link != "":
			size = len(f.Link)
		default:
			sum := sha256.Sum256(f.Body)
			digest = hex.EncodeToString(sum[:])
			total += size
		}
		if f.Config {
			flag = fileConfig | fileNoReplace
		}
		if strings.HasPrefix(f.Path, "/usr/share/doc/") || strings.HasPrefix(f.Path, "/usr/share/man/") {
			flag |= fileDoc
		}
		digests, links, flags = append(digests, digest), append(links, f.Link), append(flags, flag)
		sizes, times = append(sizes, uint32(size)), append(times, when)
		modes, rdevs = append(modes, unixMode(f)), append(rdevs, 0)
		users, langs = append(users, "root"), append(langs, "")
		verify = append(verify, 1<<32-1)
		devices, inodes = append(devices, 1), append(inodes, uint32(i+1))
	}
	h.int32s(tagSize, uint32(total))
	h.int32s(tagFileSizes, sizes...)
	h.int16s(tagFileModes, modes...)
	h.int16s(tagFileRdevs, rdevs...)
	h.int32s(tagFileMtimes, times...)
	h.texts(tagFileDigests, digests...)
	h.int32s(tagFileDigestAlgo, digestSHA256)
	h.texts(tagFileLinkTos, links...)
	h.int32s(tagFileFlags, flags...)
	h.texts(tagFileUserName, users...)
	h.texts(tagFileGroupName, users...)
	h.int32s(tagFileVerifyFlags, verify...)
	h.int32s(tagFileDevices, devices...)
	h.int32s(tagFileInodes, inodes...)
	h.texts(tagFileLangs, langs...)
	h.int32s(tagDirIndexes, indexes...)
	h.texts(tagBaseNames, names...)
	h.texts(tagDirNames, dirs...)
}

// unixMode is the mode with the bits of the kind (inode(7)).
func unixMode(f File) uint16 {
	switch {
	case f.Mode.IsDir():
		return 0o040000 | uint16(f.Mode.Perm())
	case f.Link != "":
		return 0o120777
	}
	return 0o100000 | uint16(f.Mode.Perm())
}

// cpio writes files as an archive in the "new" ASCII format (cpio(5)), as rpm
// expects them: with "." before their paths.
func cpio(files []File, when interface{ Unix() int64 }) []byte {
	var b bytes.Buffer
	pad := func() {
		for b.Len()%4 != 0 {
			b.WriteByte(0)
		}
	}
	entry := func(inode int, mode uint16, links int, mtime int64, name string, body []byte) {
		fmt.Fprintf(&b, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
			inode, mode, 0, 0, links, mtime, len(body), 0, 0, 0, 0, len(name)+1, 0)
		b.WriteString(name)
		b.WriteByte(0)
		pad()
		b.Write(body)
		pad()
	}
	for i, f := range files {
		body, links := f.Body, 1
		if f.Mode.IsDir() {
			links = 2
		} else if f.Link != "" {
			body = []byte(f.Link)
		}
		entry(i+1, unixMode(f), links, when.Unix(), "."+f.Path, body)
	}
	entry(0, 0, 1, 0, "TRAILER!!!", nil)
	return b.Bytes()
}
