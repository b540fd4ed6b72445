//go:build !unix

package spool

import "errors"

func makePipe(string) error { return errors.ErrUnsupported }
