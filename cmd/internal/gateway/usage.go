package gateway

import (
	"errors"
	"io/fs"
	"os"
)

// usageFile keeps how much of a budget is used up. It implements
// uplink.BudgetStore.
type usageFile string

func (f usageFile) Load() ([]byte, error) {
	value, err := os.ReadFile(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return value, err
}

func (f usageFile) Store(value []byte) error { return writeDurably(string(f), value) }
