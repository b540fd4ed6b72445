package mqtt

import (
	"cmp"
	"encoding/json"
	"fmt"
	"time"

	"milepost/uplink"
)

// Presence is a message that says whether the device is connected. It is online
// from the first record that is sent over a connection on; offline comes from
// the broker (the last will) when the connection ends in any other way than by
// Close, and from Close.
//
// The will of a connection that was lost unnoticed is published when the next
// one of the same client ID begins: hence the client ID must not change. MQTT
// does not say that it comes before what the new connection publishes. Brokers
// that publish wills beside everything else, as clusters do, can deliver online
// first and the offline of the old connection after it, and the retained state
// would then be wrong for as long as the connection lives. So online is said
// again, once a connection, a while later; who listens to changes only will not
// notice. A subscription that watches the state would tell sooner, but there are
// brokers that close a connection which subscribes without the right to.
type Presence struct {
	// Topic is a template that knows {device} only. Empty: there is no such message.
	Topic string
	// Device and Boot are told by the default payloads; Device is required.
	Device string
	Boot   uplink.BootID
	// Online and Offline are the payloads: by default JSON,
	// {"state":"online","device":"van-17","boot":"0d15ea5e-…"}.
	Online, Offline []byte
	// Transient messages are not retained: who subscribes later is not told.
	Transient bool
	// Repeat is how long after the first online of a connection the next records
	// bring another one (10 s). Below 0, none do.
	Repeat time.Duration
}

// setDefaults fills in the payloads and makes the template the topic.
func (p *Presence) setDefaults() error {
	if p.Topic == "" {
		return nil
	}
	t, err := parseTopic(p.Topic)
	if err != nil {
		return err
	}
	if !t.PerDevice() {
		return fmt.Errorf("mqtt: presence topic %q: only {device} has a meaning in it", p.Topic)
	}
	if p.Device == "" {
		return fmt.Errorf("mqtt: presence on %q: whose? Set the device", p.Topic)
	}
	p.Topic = string(t.append(nil, &uplink.Record{Device: p.Device}))
	if len(p.Topic) > maxString {
		return fmt.Errorf("mqtt: the presence topic has %d bytes, more than the %d that MQTT allows", len(p.Topic), maxString)
	}
	p.Repeat = cmp.Or(p.Repeat, 10*time.Second)
	if p.Online == nil {
		p.Online = p.state("online")
	}
	if p.Offline == nil {
		p.Offline = p.state("offline")
	}
	return nil
}

func (p *Presence) state(state string) []byte {
	b, err := json.Marshal(struct {
		State  string `json:"state"`
		Device string `json:"device"`
		Boot   string `json:"boot"`
	}{state, p.Device, p.Boot.String()})
	if err != nil {
		panic("BUG: " + err.Error()) // texts are always marshalled
	}
	return b
}
