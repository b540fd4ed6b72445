package config

import "testing"

func TestPriorityOf(t *testing.T) {
	rules := []PriorityRule{
		{Signal: "Brake*", Message: "Chassis", Priority: PriorityHigh},
		{Bus: "can[12]", Priority: PriorityLow},
		{Signal: "Brake?", Priority: PriorityNormal},
		{Signal: "Brake*", Priority: PriorityLow},
		{Message: "Ch*", Signal: "Door", Priority: PriorityHigh},
	}
	for _, c := range []struct {
		bus, message, signal string
		want                 Priority
	}{
		{"can0", "Chassis", "BrakePressure", PriorityHigh},
		{"can1", "Chassis", "BrakePressure", PriorityHigh}, // the first that matches
		{"can1", "Body", "BrakePressure", PriorityLow},
		{"can3", "Body", "Brake1", PriorityNormal},
		{"can3", "Body", "Brake", PriorityLow},
		{"can3", "Body", "brake", PriorityNormal},
		{"can3", "Chassis", "Door", PriorityHigh},
		{"can3", "C", "Door", PriorityNormal},
		{"can12", "Body", "Door", PriorityNormal},
	} {
		if got := PriorityOf(rules, c.bus, c.message, c.signal); got != c.want {
			t.Errorf("%s %s %s has the priority %s, want %s", c.bus, c.message, c.signal, got, c.want)
		}
	}
	if got := PriorityOf(nil, "can0", "M", "S"); got != PriorityNormal {
		t.Errorf("without rules it is %s", got)
	}
}
