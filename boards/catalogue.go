package boards

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

//go:embed */board.yaml
var embedded embed.FS

// catalogue reads the files below a folder. Each is parsed when it is asked for:
// a gateway has one board.
type catalogue struct{ files fs.FS }

// file is the file of a board, a HAT or a header, which is a folder.
func file(name string) string { return name + "/board.yaml" }

// All returns all boards, by name.
func All() []*Board {
	all, err := catalogue{embedded}.all()
	mustParse(err)
	return all.boards
}

// HATs returns all HATs, by name.
func HATs() []*HAT {
	all, err := catalogue{embedded}.all()
	mustParse(err)
	return all.hats
}

// mustParse is for the embedded files, which the tests have parsed.
func mustParse(err error) {
	if err != nil {
		panic("BUG: " + err.Error())
	}
}

// Get returns the board of that name with the HATs of those names on it, as
// Combine does. For a name that is none, the error lists those that there are.
func Get(name string, hats ...string) (*Board, error) {
	return catalogue{embedded}.get(name, hats...)
}

func (c catalogue) get(name string, hats ...string) (*Board, error) {
	board, err := c.board(name)
	if err != nil {
		return nil, err
	}
	on := make([]*HAT, len(hats))
	for i, hat := range hats {
		if on[i], err = c.hat(hat); err != nil {
			return nil, err
		}
	}
	return Combine(board, on...)
}

// GetHAT returns the HAT of that name. For a name that is none, the error lists
// those that there are.
func GetHAT(name string) (*HAT, error) {
	return catalogue{embedded}.hat(name)
}

// contents is all that a catalogue holds.
type contents struct {
	boards  []*Board
	hats    []*HAT
	headers []string
}

// names of what is there, and of which kind.
func (c contents) names() (boards, hats []string) {
	for _, b := range c.boards {
		boards = append(boards, b.Name)
	}
	for _, h := range c.hats {
		hats = append(hats, h.Name)
	}
	return boards, hats
}

func (c catalogue) all() (all contents, err error) {
	paths, err := fs.Glob(c.files, file("*"))
	if err != nil {
		return contents{}, err
	}
	var errs []error
	for _, path := range paths {
		name := strings.TrimSuffix(path, file(""))
		parsed, err := c.read(name)
		switch parsed := parsed.(type) {
		case *Board:
			board, combineErr := Combine(parsed)
			if err = errors.Join(err, combineErr); err == nil {
				all.boards = append(all.boards, board)
			}
		case *HAT:
			all.hats = append(all.hats, parsed)
		case []Pin:
			all.headers = append(all.headers, name)
		}
		errs = append(errs, err)
	}
	return all, errors.Join(errs...)
}

func (c catalogue) board(name string) (*Board, error) {
	parsed, err := c.read(name)
	switch parsed := parsed.(type) {
	case *Board:
		return parsed, err
	case *HAT:
		return nil, fmt.Errorf("%s is a HAT, not a board", name)
	}
	return nil, c.unknown("board", name, err)
}

func (c catalogue) hat(name string) (*HAT, error) {
	parsed, err := c.read(name)
	switch parsed := parsed.(type) {
	case *HAT:
		return parsed, err
	case *Board:
		return nil, fmt.Errorf("%s is a board, not a HAT", name)
	}
	return nil, c.unknown("HAT", name, err)
}

// unknown is the error for a name that is none, or whose file says nothing.
func (c catalogue) unknown(what, name string, err error) error {
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrInvalid) {
		return err
	}
	all, err := c.all()
	if err != nil {
		return err
	}
	names, hats := all.names()
	if what == "HAT" {
		names = hats
	}
	return fmt.Errorf("there is no %s %q; there are %s", what, name, strings.Join(names, ", "))
}

// read parses one file: a *Board, a *HAT, or the []Pin of a header. What it could
// read of a bad file comes with the error.
func (c catalogue) read(name string) (any, error) {
	data, err := fs.ReadFile(c.files, file(name))
	if err != nil {
		return nil, err
	}
	d := &document{file: file(name)}
	root := d.root(data)
	if root == nil {
		return nil, errors.Join(d.errs...)
	}
	var parsed any
	switch d.kindOf(root) {
	case kindBoard:
		b := &Board{Name: name, file: d.file}
		d.board(root, b, c.pins)
		parsed = b
	case kindHAT:
		h := &HAT{Name: name, file: d.file}
		d.hat(root, h)
		parsed = h
	case kindHeader:
		parsed = d.headerPins(root)
	}
	return parsed, errors.Join(d.errs...)
}

// pins are those of a header.
func (c catalogue) pins(header string) ([]Pin, error) {
	data, err := fs.ReadFile(c.files, file(header))
	if err != nil {
		return nil, fmt.Errorf("there is no header %q: %w", header, err)
	}
	d := &document{file: file(header)}
	root := d.root(data)
	if root == nil || d.kindOf(root) != kindHeader {
		return nil, fmt.Errorf("%q is no header", header)
	}
	return d.headerPins(root), errors.Join(d.errs...)
}
