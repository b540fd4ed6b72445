package image

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"milepost/firmware/debian"
)

// tools are the programs that make file systems, found before anything is downloaded.
type tools struct{ mksquashfs, mformat, mcopy, mke2fs string }

func findTools() (t tools, err error) {
	for _, p := range []struct {
		path          *string
		program, from string
	}{
		{&t.mksquashfs, "mksquashfs", "squashfs-tools"}, {&t.mformat, "mformat", "mtools"}, {&t.mcopy, "mcopy", "mtools"}, {&t.mke2fs, "mke2fs", "e2fsprogs"},
	} {
		if *p.path, err = debian.FindProgram(p.program, p.from); err != nil {
			return t, err
		}
	}
	return t, nil
}

// compressionLevel of zstd is a moderate one: the builder's time counts, too.
const compressionLevel = 9

// makeSystem packs a tree into a squashfs.
func (t *tools) makeSystem(ctx context.Context, files *tree, out string, when time.Time) error {
	// Blocks of 64 KiB: of whatever is read of a file, a whole block is unpacked.
	cmd := exec.CommandContext(ctx, t.mksquashfs, "-", out, "-tar", "-noappend", "-quiet", "-no-progress",
		"-comp", "zstd", "-Xcompression-level", strconv.Itoa(compressionLevel), "-b", "64K", "-no-xattrs",
		"-root-mode", "755", "-root-uid", "0", "-root-gid", "0")
	// It sets the time of the file system and of the root.
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH="+strconv.FormatInt(when.Unix(), 10))
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	written := files.write(in, when)
	if err := in.Close(); written == nil {
		written = err
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("mksquashfs: %w: %s", err, bytes.TrimSpace(said.Bytes()))
	}
	return written
}

// makeBoot makes the boot partition within the image. Its serial number is the
// disk's signature.
func (t *tools) makeBoot(ctx context.Context, image, work string, l *Layout, files []bootFile, when time.Time) error {
	run := func(program string, args ...string) error {
		cmd := exec.CommandContext(ctx, program, args...)
		cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH="+strconv.FormatInt(when.Unix(), 10), "MTOOLS_SKIP_CHECK=1", "TZ=UTC", "LC_ALL=C.UTF-8")
		if said, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", filepath.Base(program), err, bytes.TrimSpace(said))
		}
		return nil
	}
	at := fmt.Sprintf("%s@@%d", image, l.Boot.Offset)
	sectors := l.Boot.Size / sectorSize
	err := run(t.mformat, "-i", at, "-F", "-T", strconv.FormatInt(sectors, 10), "-h", "64", "-s", "32", "-H", strconv.FormatInt(l.Boot.Offset/sectorSize, 10),
		"-N", fmt.Sprintf("%08x", l.Signed), "-v", "MILEPOST", "::")
	if err != nil {
		return err
	}
	for _, f := range files {
		path := filepath.Join(work, f.name)
		if err := os.WriteFile(path, f.body, 0o644); err != nil {
			return err
		}
		if err := os.Chtimes(path, when, when); err != nil {
			return err
		}
		if err := run(t.mcopy, "-m", "-i", at, path, "::"+f.name); err != nil {
			return err
		}
	}
	return nil
}

// ext4Features is a configuration of mke2fs (mke2fs.conf(5)), instead of the
// builder's own.
const ext4Features = `[defaults]
	base_features = sparse_super,large_file,filetype,resize_inode,dir_index,ext_attr
	default_mntopts = acl,user_xattr
	blocksize = 4096
	inode_size = 256
	inode_ratio = 16384
[fs_types]
	ext4 = {
		features = has_journal,extent,huge_file,flex_bg,metadata_csum,64bit,dir_nlink,extra_isize
	}
	small = {
		inode_ratio = 16384
	}
`

// makeData makes the empty data partition within the image. Its identifiers come
// of the disk's signature, and everything in it is initialised, so that it is the
// same each time.
func (t *tools) makeData(ctx context.Context, image, work string, l *Layout, when time.Time) error {
	const block = 4096
	uuid := func(n int) string { return fmt.Sprintf("%08x-0000-4000-8000-%012x", l.Signed, n) }
	options := []string{
		fmt.Sprintf("offset=%d", l.Data.Offset), "hash_seed=" + uuid(2), "root_owner=0:0",
		"lazy_itable_init=0", "lazy_journal_init=0", "nodiscard",
	}
	config := filepath.Join(work, "mke2fs.conf")
	if err := os.WriteFile(config, []byte(ext4Features), 0o666); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, t.mke2fs, "-q", "-F", "-t", "ext4", "-b", strconv.Itoa(block), "-m", "1", "-L", "milepost-data", "-U", uuid(1),
		// The journal is made for the card that it will be on, not for this image.
		"-J", "size=16", "-E", strings.Join(options, ","), image, strconv.FormatInt(l.Data.Size/block, 10))
	epoch := strconv.FormatInt(when.Unix(), 10)
	cmd.Env = append(os.Environ(), "E2FSPROGS_FAKE_TIME="+epoch, "SOURCE_DATE_EPOCH="+epoch, "MKE2FS_CONFIG="+config)
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mke2fs: %w: %s", err, bytes.TrimSpace(said))
	}
	return nil
}

// copyInto copies a file into its partition. Holes stay holes.
func copyInto(image *os.File, at Span, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := at.fits(filepath.Base(file), info.Size()); err != nil {
		return err
	}
	_, err = io.Copy(io.NewOffsetWriter(image, at.Offset), f)
	return err
}
