package boards

import (
	"io/fs"
	"testing"
	"testing/fstest"
)

// FuzzBoard: whatever a file says, reading and combining it ends with a board, a
// HAT, or an error.
func FuzzBoard(f *testing.F) {
	paths, _ := fs.Glob(embedded, file("*"))
	for _, path := range paths {
		data, _ := embedded.ReadFile(path)
		f.Add(data)
	}
	header, _ := embedded.ReadFile(file("rpi-40pin"))
	hat, _ := embedded.ReadFile(file("pican2"))
	f.Fuzz(func(t *testing.T, data []byte) {
		files := catalogue{fstest.MapFS{
			file("x"):         {Data: data},
			file("rpi-40pin"): {Data: header},
			file("pican2"):    {Data: hat},
		}}
		board, boardErr := files.get("x", "pican2")
		if (board == nil) == (boardErr == nil) {
			t.Errorf("board %v, error %v", board, boardErr)
		}
		if got, err := files.hat("x"); got == nil && err == nil {
			t.Error("neither a HAT nor an error")
		}
	})
}
