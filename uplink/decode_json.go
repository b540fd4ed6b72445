package uplink

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"milepost/aggregate"
)

// jsonRecord is the object that AppendJSON writes.
type jsonRecord struct {
	Device   string      `json:"device"`
	Boot     string      `json:"boot"`
	Sequence uint64      `json:"seq"`
	Window   json.Number `json:"window"`
	Duration json.Number `json:"duration"`
	Revision uint32      `json:"revision"`
	Clock    string      `json:"clock"`
	Uptime   json.Number `json:"uptime"`
	Moved    json.Number `json:"moved"`
	Bus      string      `json:"bus"`
	ID       *string     `json:"id"`
	Message  string      `json:"message"`
	Signal   string      `json:"signal"`
	Unit     string      `json:"unit"`
	Count    *uint64     `json:"count"`
	Min      *float64    `json:"min"`
	Max      *float64    `json:"max"`
	Sum      *float64    `json:"sum"`
	First    *float64    `json:"first"`
	Last     *float64    `json:"last"`

	Scale     int64    `json:"hist_scale"`
	Zero      uint64   `json:"hist_zero"`
	PosOffset int32    `json:"hist_pos_offset"`
	Pos       []uint64 `json:"hist_pos"`
	NegOffset int32    `json:"hist_neg_offset"`
	Neg       []uint64 `json:"hist_neg"`
}

// DecodeJSON reads an object that AppendJSON wrote, for tools and tests. The
// record's series holds physical values, as with DecodeRecord; null is NaN.
func DecodeJSON(object []byte) (Record, error) {
	var j jsonRecord
	if err := json.Unmarshal(object, &j); err != nil {
		return Record{}, fmt.Errorf("record: %w", err)
	}
	r, v := physicalRecord()
	var errs [7]error
	r.Device, r.Sequence, r.Revision = j.Device, j.Sequence, j.Revision
	r.Boot, errs[0] = ParseBootID(j.Boot)
	r.Start, errs[1] = parseSeconds(string(j.Window))
	r.Duration, errs[2] = parseSeconds(string(j.Duration))
	r.Group.Bus, r.Group.Name = j.Bus, j.Message
	if j.ID != nil {
		id, err := strconv.ParseUint(*j.ID, 16, 32)
		if len(*j.ID) != 3 && len(*j.ID) != 8 {
			err = fmt.Errorf("id %q has neither 3 nor 8 digits", *j.ID)
		}
		r.Group.ID, r.Group.HasID, r.Group.Extended, errs[3] = uint32(id), true, len(*j.ID) == 8, err
	}
	r.Series.Name, r.Series.Unit = j.Signal, j.Unit
	if j.Clock != "" {
		r.Clock, _ = aggregate.ParseClock(j.Clock)
		r.Uptime, errs[5] = parseSeconds(string(j.Uptime))
		if j.Moved != "" {
			r.Moved, errs[6] = parseSeconds(string(j.Moved))
		}
	}
	if j.Count == nil {
		return Record{}, errors.New("record: no count: not a record")
	}
	r.Summary.Count = *j.Count
	h := &r.Summary.Histogram
	errs[4] = setScale(h, j.Scale)
	h.Zero = j.Zero
	h.Positive.Offset, h.Positive.Counts = j.PosOffset, j.Pos
	h.Negative.Offset, h.Negative.Counts = j.NegOffset, j.Neg
	v.Min, v.Max, v.Sum, v.First, v.Last = orNaN(j.Min), orNaN(j.Max), orNaN(j.Sum), orNaN(j.First), orNaN(j.Last)
	if err := errors.Join(errs[:]...); err != nil {
		return Record{}, fmt.Errorf("record: %w", err)
	}
	finishPhysical(&r, v)
	return r, nil
}

func orNaN(x *float64) float64 {
	if x == nil {
		return math.NaN()
	}
	return *x
}

// parseSeconds is the inverse of appendSeconds.
func parseSeconds(s string) (nanoseconds int64, err error) {
	whole, fraction, _ := strings.Cut(s, ".")
	if len(fraction) > 9 {
		return 0, fmt.Errorf("%q seconds: more than 9 decimals", s)
	}
	n, err := strconv.ParseInt(whole+fraction+"000000000"[len(fraction):], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q seconds: not a decimal number in range", s)
	}
	return n, nil
}
