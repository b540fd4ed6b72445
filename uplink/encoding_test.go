package uplink_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"milepost/aggregate"
	"milepost/aggregate/histogram"
	"milepost/uplink"
	"milepost/uplink/uplinktest"
)

var update = flag.Bool("update", false, "rewrite the golden samples")

// golden are the samples in testdata; independent readers were shown them (see
// docs/wire-format.md).
var golden = map[uplink.Encoding]string{
	uplink.JSON:     "records.json",
	uplink.Protobuf: "records.pb",
	uplink.OTLP:     "request.otlp.pb",
	uplink.CSV:      "records.csv",
}

func TestGolden(t *testing.T) {
	f := func(name string, got []byte) {
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs from what was written before:\n%s", path, cmp.Diff(string(want), string(got)))
		}
	}
	for encoding, name := range golden {
		f(name, encoding.Append(nil, uplinktest.Records(1, 20)))
		f("clock-"+name, encoding.Append(nil, uplinktest.ClockRecords()))
	}
}

// TestSchema holds the JSON sample against the schema file.
func TestSchema(t *testing.T) {
	var schema struct {
		Properties map[string]struct {
			Type    any
			Pattern string
		}
		Required []string
		Else     struct{ Required []string } // of those with samples
	}
	content, err := os.ReadFile(filepath.Join("schema", "record.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, &schema); err != nil {
		t.Fatal(err)
	}
	allowed := func(types any, value any) bool {
		for _, name := range strings.FieldsFunc(strings.Trim(strings.ReplaceAll(stringOf(types), "\"", ""), "[]"), func(r rune) bool { return r == ',' }) {
			switch v := value.(type) {
			case nil:
				if name == "null" {
					return true
				}
			case string:
				if name == "string" {
					return true
				}
			case []any:
				if name == "array" {
					return true
				}
			case float64:
				if name == "number" || name == "integer" && v == math.Trunc(v) {
					return true
				}
			}
		}
		return false
	}
	if len(schema.Else.Required) == 0 {
		t.Error("no histogram is required of records with samples")
	}
	for line := range bytes.Lines(uplink.JSON.Append(nil, append(uplinktest.Records(1, 100), uplinktest.ClockRecords()...))) {
		var object map[string]any
		if err := json.Unmarshal(line, &object); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		for key, value := range object {
			p, ok := schema.Properties[key]
			if !ok || !allowed(p.Type, value) {
				t.Errorf("%s: %v is not in the schema", key, value)
			}
			if text, ok := value.(string); ok && !regexp.MustCompile(p.Pattern).MatchString(text) {
				t.Errorf("%s: %q does not match %s", key, text, p.Pattern)
			}
		}
		required := schema.Required
		if object["count"] != 0. {
			required = append(slices.Clone(required), schema.Else.Required...)
		}
		for _, key := range required {
			if _, ok := object[key]; !ok {
				t.Errorf("%s is missing in %s", key, line)
			}
		}
	}
}

func stringOf(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

// drawRecord makes a record of one series with physical values of any size.
var drawRecord = rapid.Custom(func(t *rapid.T) uplink.Record {
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "°C", "a\"b\\c", "tab\tand\nnewline", "\xb0C", "\u2028", "x,y"}))
	number := rapid.OneOf(
		rapid.Float64(),
		rapid.Map(rapid.Int64(), func(i int64) float64 { return float64(i) }),
		rapid.SampledFrom([]float64{0, 1e-7, 1e-6, 1e21, 123456.789, math.MaxFloat64, math.SmallestNonzeroFloat64, math.NaN(), math.Inf(1)}),
	)
	h := histogram.New()
	for _, x := range rapid.SliceOfN(number, 0, 10).Draw(t, "values") {
		h.Add(x, rapid.Uint64Range(1, 1<<40).Draw(t, "weight"))
	}
	group := &aggregate.Group{
		Bus: text.Draw(t, "bus"), Name: text.Draw(t, "message"),
		HasID: rapid.Bool().Draw(t, "hasID"), Extended: rapid.Bool().Draw(t, "extended"),
		Series: []aggregate.Series{{Name: text.Draw(t, "signal"), Unit: text.Draw(t, "unit"), Kind: aggregate.Float, Factor: 1}},
	}
	if !group.HasID {
		group.Extended = false
	} else if group.ID = rapid.Uint32Range(0, 0x7ff).Draw(t, "id"); group.Extended {
		group.ID = rapid.Uint32Range(0, 1<<29-1).Draw(t, "extended id")
	}
	bits := func(name string) int64 { return int64(math.Float64bits(number.Draw(t, name))) }
	r := uplink.Record{
		Device: text.Draw(t, "device"), Sequence: rapid.Uint64().Draw(t, "sequence"),
		Start: rapid.Int64().Draw(t, "start"), Duration: rapid.Int64Range(1, math.MaxInt64).Draw(t, "duration"),
		Revision: rapid.Uint32().Draw(t, "revision"),
		Group:    group, Series: &group.Series[0],
		Summary: aggregate.Summary{
			Count: rapid.Uint64Min(1).Draw(t, "count"),
			Sum:   aggregate.Sum{Terms: []float64{number.Draw(t, "sum")}},
			Min:   bits("min"), Max: bits("max"), First: bits("first"), Last: bits("last"),
			Histogram: h,
		},
	}
	if r.Clock = aggregate.Clock(rapid.IntRange(0, 3).Draw(t, "clock")); r.Clock != aggregate.ClockUnknown {
		r.Uptime = rapid.Int64().Draw(t, "uptime")
		r.Moved = rapid.SampledFrom([]int64{0, -1, 1_780_000_000_123_456_000}).Draw(t, "moved")
	}
	if rapid.IntRange(0, 9).Draw(t, "absent") == 0 {
		r.Summary = aggregate.Summary{Absent: true, Histogram: histogram.New()}
	}
	copy(r.Boot[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "boot"))
	return r
})

// TestReadersAreInverse: what is read back and written again is the same.
func TestReadersAreInverse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRecord.Draw(t, "record")
		encoded := uplink.AppendProtobuf(nil, &r)
		decoded, err := uplink.DecodeRecord(encoded)
		if err != nil {
			t.Fatal(err)
		}
		if again := uplink.AppendProtobuf(nil, &decoded); !bytes.Equal(again, encoded) {
			t.Fatalf("protobuf:\n%x\n%x", encoded, again)
		}

		object := uplink.AppendJSON(nil, &r)
		decoded, err = uplink.DecodeJSON(object)
		if err != nil {
			t.Fatalf("%s: %v", object, err)
		}
		if again := uplink.AppendJSON(nil, &decoded); !bytes.Equal(again, object) {
			t.Fatalf("json:\n%s\n%s", object, again)
		}
	})
}

func TestOTLPKeepsKeysAndPoints(t *testing.T) {
	want := uplinktest.Records(1, 300)
	for i := range want {
		if i >= 200 {
			want[i].Boot[0]++ // another resource
		}
	}
	otlpKeepsKeysAndPoints(t, want)
	otlpKeepsKeysAndPoints(t, uplinktest.ClockRecords())
}

func otlpKeepsKeysAndPoints(t *testing.T, want []uplink.Record) {
	t.Helper()
	got, err := uplink.DecodeOTLP(uplink.OTLP.Append(nil, want), nil)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(got, func(a, b uplink.Record) int { return int(a.Sequence) - int(b.Sequence) })
	if len(got) != len(want) {
		t.Fatalf("%d points, want %d", len(got), len(want))
	}
	first := regexp.MustCompile(`"first":[^,]*`) // which OTLP does not have
	for i := range want {
		g := first.ReplaceAllString(string(uplink.AppendJSON(nil, &got[i])), "")
		w := first.ReplaceAllString(string(uplink.AppendJSON(nil, &want[i])), "")
		if g != w {
			t.Fatalf("got  %s\nwant %s", g, w)
		}
	}
}

func TestAppendUpTo(t *testing.T) {
	records := uplinktest.Records(1, 100)
	for encoding := range golden {
		whole := encoding.Append(nil, records)
		for _, limit := range []int{0, 100, 500, 1000, 5000, len(whole) - 1, len(whole), 1 << 20} {
			payload, n := encoding.AppendUpTo([]byte("before"), records, limit)
			if got, want := string(payload), "before"+string(encoding.Append(nil, records[:n])); got != want {
				t.Errorf("%v up to %d: the payload is not that of %d records", encoding, limit, n)
			}
			size := len(payload) - len("before")
			if size > limit || n < len(records) && limit >= len(whole) || n == 0 && limit >= 1000 {
				t.Errorf("%v up to %d: %d bytes, %d records", encoding, limit, size, n)
			}
		}
	}
}

func TestCSV(t *testing.T) {
	group := &aggregate.Group{Bus: "can0", ID: 0x12, HasID: true, Name: `a "b", c`, Series: []aggregate.Series{{Name: "s", Unit: "°C", Kind: aggregate.Float, Factor: 1}}}
	row := func(start int64, extended bool, x float64) string {
		group.Extended = extended
		b := int64(math.Float64bits(x))
		return string(uplink.AppendCSV(nil, &uplink.Record{Start: start, Group: group, Series: &group.Series[0], Summary: aggregate.Summary{
			Count: 2, Min: b, Max: b, First: b, Last: b, Sum: aggregate.Sum{Terms: []float64{2 * x}},
		}}))
	}
	for _, c := range []struct{ got, want string }{
		{row(5e9, false, 1.5), `5,can0,012,"a ""b"", c",s,°C,2,1.5,1.5,1.5,3,1.5,1.5`},
		{row(1_500_000_000, true, 0.0001), `1.5,can0,00000012,"a ""b"", c",s,°C,2,0.0001,0.0001,0.0001,0.0002,0.0001,0.0001`},
		{row(-1, false, 1e-5), `-0.000000001,can0,012,"a ""b"", c",s,°C,2,1e-05,1e-05,1e-05,2e-05,1e-05,1e-05`},
		{row(0, false, math.Inf(-1)), `0,can0,012,"a ""b"", c",s,°C,2,-inf,-inf,-inf,-inf,-inf,-inf`},
	} {
		if c.got != c.want {
			t.Errorf("row\n%s, want\n%s", c.got, c.want)
		}
	}
	if columns := strings.Count(uplink.CSVHeader, ",") + 1; columns != 13 {
		t.Errorf("the header has %d columns, a row 13", columns)
	}
}

// TestJSONNumbers are as encoding/json writes them.
func TestJSONNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.OneOf(rapid.Float64(), rapid.Float64Range(-1e-5, 1e-5), rapid.Map(rapid.Int64(), func(i int64) float64 { return float64(i) })).Draw(t, "x")
		if x == 0 {
			return // encoding/json writes -0
		}
		want, err := json.Marshal(x)
		if err != nil {
			t.Skip("no number of JSON")
		}
		r := uplinktest.Records(5, 1)[0]
		series := aggregate.Series{Kind: aggregate.Float, Factor: 1}
		r.Series = &series
		r.Summary.Last = int64(math.Float64bits(x))
		_, after, _ := strings.Cut(string(uplink.AppendJSON(nil, &r)), `"last":`)
		if got, _, _ := strings.Cut(after, ","); got != string(want) {
			t.Fatalf("%v is %s, want %s", x, got, want)
		}
	})
}

func TestNames(t *testing.T) {
	for _, e := range []uplink.Encoding{uplink.JSON, uplink.Protobuf, uplink.OTLP, uplink.CSV} {
		if got, err := uplink.ParseEncoding(e.String()); got != e || err != nil {
			t.Errorf("ParseEncoding(%q) = %v, %v", e, got, err)
		}
	}
	if _, err := uplink.ParseEncoding("xml"); err == nil || !strings.Contains(err.Error(), strconv.Quote("xml")) {
		t.Errorf("ParseEncoding(xml): %v", err)
	}
}

func TestEncodingAllocatesNothing(t *testing.T) {
	records := uplinktest.Records(1, 50)
	for _, encoding := range []uplink.Encoding{uplink.JSON, uplink.Protobuf, uplink.CSV} {
		buffer := encoding.Append(nil, records)
		if n := testing.AllocsPerRun(10, func() { buffer = encoding.Append(buffer[:0], records) }); n != 0 {
			t.Errorf("%v: %v allocations for 50 records, want none", encoding, n)
		}
	}
}

func FuzzDecodeRecord(f *testing.F) {
	for _, r := range uplinktest.Records(1, 8) {
		f.Add(uplink.AppendProtobuf(nil, &r))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		if r, err := uplink.DecodeRecord(message); err == nil {
			again, err := uplink.DecodeRecord(uplink.AppendProtobuf(nil, &r))
			if err != nil || !bytes.Equal(uplink.AppendJSON(nil, &again), uplink.AppendJSON(nil, &r)) {
				t.Errorf("%v:\n%s\n%s", err, uplink.AppendJSON(nil, &r), uplink.AppendJSON(nil, &again))
			}
		}
	})
}

func FuzzDecodeJSON(f *testing.F) {
	for _, r := range uplinktest.Records(1, 8) {
		f.Add(uplink.AppendJSON(nil, &r))
	}
	f.Fuzz(func(t *testing.T, object []byte) {
		if r, err := uplink.DecodeJSON(object); err == nil {
			if _, err := uplink.DecodeJSON(uplink.AppendJSON(nil, &r)); err != nil {
				t.Errorf("%s: %v", uplink.AppendJSON(nil, &r), err)
			}
		}
	})
}

func FuzzDecodeOTLP(f *testing.F) {
	f.Add(uplink.OTLP.Append(nil, uplinktest.Records(4, 1)))
	f.Fuzz(func(t *testing.T, request []byte) {
		if records, err := uplink.DecodeOTLP(request, nil); err == nil {
			uplink.OTLP.Append(nil, records)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	records := uplinktest.Records(1, 1000)
	for _, encoding := range []uplink.Encoding{uplink.JSON, uplink.Protobuf, uplink.OTLP, uplink.CSV} {
		b.Run(encoding.String(), func(b *testing.B) {
			buffer := encoding.Append(nil, records)
			b.ReportAllocs()
			for b.Loop() {
				buffer = encoding.Append(buffer[:0], records)
			}
			b.ReportMetric(float64(len(buffer))/float64(len(records)), "B/record")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(records)), "ns/record")
		})
	}
}

// TestDocumentation: the samples shown in docs/wire-format.md are the golden ones.
func TestDocumentation(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "docs", "wire-format.md"))
	if err != nil {
		t.Fatal(err)
	}
	records := uplinktest.Records(1, 4)
	for _, sample := range []string{
		string(uplink.JSON.Append(nil, records[3:])),
		uplink.CSVHeader + "\n" + string(uplink.CSV.Append(nil, records)),
	} {
		if !strings.Contains(string(page), sample) {
			t.Errorf("docs/wire-format.md does not show\n%s", sample)
		}
	}
}
