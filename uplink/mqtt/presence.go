package mqtt

import (
	"encoding/json"
	"fmt"

	"milepost/uplink"
)

// Presence is a message that says whether the device is connected. It is online
// from the first record that is sent over a connection on; offline comes from
// the broker (the last will) when the connection ends in any other way than by
// Close, and from Close.
//
// The will of a connection that was lost unnoticed is published when the next
// one of the same client ID begins, before that one is online: hence the client
// ID must not change.
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
