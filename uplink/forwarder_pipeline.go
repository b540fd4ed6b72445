package uplink

import "context"

// A Pipelined sink is given the next group while one is under way, so that neither
// the link nor the processor waits for the other. There is never a third. What is
// ahead counts only when it is its turn: if the group before it fails, it is given
// up, and read again.

// prepare begins to send the group and gathers another one behind it, if there is
// something to be sent already.
func (f *Forwarder) prepare(ctx context.Context) {
	if f.pipelined == nil || f.credit == 0 { // what was never accepted goes step by step
		return
	}
	current := f.group
	f.begin(ctx, current)
	current.lane.front = current.span.To + 1
	f.group = f.spare()
	found, err := f.choose(ctx, false)
	if found && err == nil { // an error will be met again
		f.ahead = f.group
		f.begin(ctx, f.ahead)
	}
	f.group = current
}

func (f *Forwarder) begin(ctx context.Context, g *group) {
	if g.wait == nil && len(g.records) > 0 {
		g.wait = f.pipelined.Begin(ctx, g.records)
	}
}

// spare is the other group.
func (f *Forwarder) spare() *group {
	if f.group == &f.groups[0] {
		return &f.groups[1]
	}
	return &f.groups[0]
}

// promote makes the group ahead the one to be delivered, and says whether there
// was one.
func (f *Forwarder) promote() bool {
	if f.ahead == nil {
		return false
	}
	f.group, f.ahead = f.ahead, nil
	return true
}

// forsake gives the group ahead up. Whatever became of it, it is sent again when
// what is before it has arrived.
func (f *Forwarder) forsake() {
	g := f.ahead
	if g == nil {
		return
	}
	f.ahead = nil
	if g.wait != nil {
		g.wait()
	}
	f.stats.abandoned(g)
	g.lane.front = g.span.From
	g.reset(nil)
	f.turn = 0
}
