package gateway

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"milepost/aggregate"
	"milepost/can"
	"milepost/can/dbc"
)

func TestBindings(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	common := file("common.dbc", `BO_ 1 Common1: 8 X
 SG_ A : 0|8@1+ (0.5,-3) [0|0] "km" X
 SG_ B : 0|64@1+ (1,0) [0|0] "" X
 SG_ C : 0|64@1- (1,0) [0|0] "" X
 SG_ D : 0|32@1- (1,0) [0|0] "" X
BO_ 2 Common2: 8 X
 SG_ A : 0|8@1+ (1,0) [0|0] "" X
BO_ 2364540158 EEC1: 8 X
 SG_ Speed : 24|16@1+ (0.125,0) [0|0] "rpm" X
BA_DEF_ BO_ "VFrameFormat" ENUM "StandardCAN","ExtendedCAN","reserved","J1939PG";
BA_DEF_DEF_ "VFrameFormat" "J1939PG";
SIG_VALTYPE_ 1 D : 1;
`)
	own := file("own.dbc", "BO_ 1 Own1: 8 X\n SG_ Z : 0|8@1+ (1,0) [0|0] \"\" X\nBO_ 9 Own9: 8 X\n SG_ Z : 0|8@1+ (1,0) [0|0] \"\" X\n")
	clash := file("clash.dbc", "BO_ 1 Clash1: 8 X\n SG_ Z : 0|8@1+ (1,0) [0|0] \"\" X\n")

	var problems []string
	report := func(p dbc.Problem) { problems = append(problems, p.Message) }
	b, err := Databases{"": {common}, "can1": {own}}.Bind(dbc.Options{}, report)
	if err != nil {
		t.Fatal(err)
	}
	conflicts := func() (found []string) {
		for _, p := range problems {
			if strings.Contains(p, "already defined") {
				found = append(found, p)
			}
		}
		return found
	}
	if found := conflicts(); len(found) > 0 {
		t.Errorf("a bus's own database contradicts the common one: %q", found)
	}
	lookups := []struct {
		bus      string
		id       uint32
		extended bool
		want     string
	}{
		{"can0", 1, false, "Common1"}, {"can0", 9, false, ""}, {"can0", 1, true, ""},
		{"can1", 1, false, "Own1"}, {"can1", 2, false, "Common2"}, {"can1", 9, false, "Own9"},
		{"can1", 0x0CF00417, true, "EEC1"}, {"can0", 0x18F00400, true, "EEC1"}, {"can0", 0x18F00500, true, ""},
	}
	groups := map[*aggregate.Group]bool{}
	for _, l := range lookups {
		f := can.Frame{ID: l.id}
		if l.extended {
			f.Flags = can.Extended
		}
		binding := b.Bind(l.bus, &f)
		if again := b.Bind(l.bus, &f); again != binding {
			t.Errorf("%s %X is bound anew", l.bus, l.id)
		}
		if l.want == "" {
			if binding != nil {
				t.Errorf("%s %X is %s", l.bus, l.id, binding.Group.Name)
			}
			continue
		}
		if binding == nil || binding.Group.Name != l.want {
			t.Errorf("%s %X is %v, want %s", l.bus, l.id, binding, l.want)
			continue
		}
		g := binding.Group
		if g.Bus != l.bus || g.ID != l.id || !g.HasID || g.Extended != l.extended || groups[g] || len(g.Series) != len(binding.Plan.Signals()) {
			t.Errorf("%s %X has the group %+v", l.bus, l.id, g)
		}
		groups[g] = true
	}
	series := b.Bind("can0", &can.Frame{ID: 1}).Group.Series
	want := []aggregate.Series{
		{Name: "A", Unit: "km", Kind: aggregate.Integer, Bits: 8, Factor: 0.5, Offset: -3},
		{Name: "B", Kind: aggregate.Unsigned64, Bits: 64, Factor: 1},
		{Name: "C", Kind: aggregate.Integer, Bits: 64, Factor: 1},
		{Name: "D", Kind: aggregate.Float, Bits: 32, Factor: 1},
	}
	for i := range want {
		if series[i] != want[i] {
			t.Errorf("series %+v, want %+v", series[i], want[i])
		}
	}

	problems = nil
	if _, err := (Databases{"can1": {own, clash}}).Bind(dbc.Options{}, report); err != nil || len(conflicts()) != 1 {
		t.Errorf("error %v, conflicts %q; want one conflict between databases of one bus", err, conflicts())
	}
	if _, err := (Databases{"": {filepath.Join(dir, "none.dbc")}}).Bind(dbc.Options{}, report); err == nil {
		t.Error("a missing file is no error")
	}
	nothing, err := Databases{"can1": {own}}.Bind(dbc.Options{}, report)
	if err != nil || nothing.Bind("can0", &can.Frame{ID: 1}) != nil {
		t.Errorf("a bus without a database binds; error %v", err)
	}
}
