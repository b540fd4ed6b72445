package board

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"milepost/firmware/debian"
)

// DefaultCache is where kernels are kept: a folder of the user's cache.
func DefaultCache() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("board: %w", err)
	}
	return filepath.Join(dir, "milepost-lab", "kernel"), nil
}

// FetchKernel returns the machine's kernel, from a cache or else from the package
// sources of this (Debian) machine. What is in the cache is used as it is: remove
// it to get a newer kernel. An empty cache is DefaultCache.
func FetchKernel(ctx context.Context, m Machine, cache string) (*debian.Kernel, error) {
	if cache == "" {
		var err error
		if cache, err = DefaultCache(); err != nil {
			return nil, err
		}
	}
	dir := filepath.Join(cache, m.debian)
	if k, err := debian.OpenKernel(dir); err == nil {
		return k, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("board: %w", err)
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return nil, fmt.Errorf("board: %w", err)
	}
	// Everything is made in a folder of its own and then renamed: what is in the
	// cache is whole, and two processes do not disturb one another.
	work, err := os.MkdirTemp(cache, "fetch-")
	if err != nil {
		return nil, fmt.Errorf("board: %w", err)
	}
	defer os.RemoveAll(work)
	unpacked := filepath.Join(work, "kernel")
	if err := fetchKernel(ctx, m, work, unpacked); err != nil {
		return nil, fmt.Errorf("board: fetching a kernel: %w", err)
	}
	if err := os.Chmod(unpacked, 0o755); err != nil {
		return nil, fmt.Errorf("board: %w", err)
	}
	renamed := os.Rename(unpacked, dir)
	k, err := debian.OpenKernel(dir) // another process may have been quicker
	if err != nil {
		return nil, fmt.Errorf("board: %w", errors.Join(renamed, err))
	}
	return k, nil
}

func fetchKernel(ctx context.Context, m Machine, work, unpacked string) error {
	packages, err := debian.NewApt(work, m.debian)
	if err != nil {
		return err
	}
	// One source of several may be out of order, a mirror in the middle of its
	// work, say. apt then leaves that one out, and any kernel of the others will do.
	incomplete := packages.Update(ctx)
	// The name of the package changes with the kernel's binary interface.
	name, err := packages.Dependency(ctx, m.image, "linux-image-")
	if err != nil {
		return errors.Join(err, incomplete)
	}
	downloaded, err := packages.Download(ctx, work, debian.Package{Name: name})
	if err != nil {
		return err
	}
	_, err = debian.UnpackKernel(ctx, downloaded[0].File, unpacked)
	return err
}
