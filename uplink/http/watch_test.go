package http

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestWatch lets requests move at different paces.
func TestWatch(t *testing.T) {
	o := Options{StallTimeout: 30 * time.Second, AnswerTimeout: time.Minute}
	for _, c := range []struct {
		name string
		run  func(w *watch, n *network)
		want string // in the cause; "" is none
	}{
		{"a slow link that moves", func(w *watch, n *network) {
			for range 1000 {
				time.Sleep(29 * time.Second)
				n.sent.Add(1)
			}
		}, ""},
		{"a link that stands still", func(w *watch, n *network) {
			n.sent.Add(1000)
			n.received.Add(1000)
			time.Sleep(time.Minute + time.Second)
		}, "nothing could be sent in 30s"},
		{"a server that thinks", func(w *watch, n *network) {
			time.Sleep(29 * time.Second)
			w.enter(waiting)
			time.Sleep(59 * time.Second)
			w.enter(receiving)
			time.Sleep(59 * time.Second)
		}, ""},
		{"a server that thinks too long", func(w *watch, n *network) {
			w.enter(waiting)
			n.sent.Add(1000) // such as probes
			time.Sleep(61 * time.Second)
		}, "no answer in 1m0s"},
		{"a long answer over a slow link", func(w *watch, n *network) {
			w.enter(waiting)
			w.enter(receiving)
			for range 1000 {
				time.Sleep(59 * time.Second)
				n.received.Add(minProgress)
			}
		}, ""},
		{"an answer byte by byte", func(w *watch, n *network) {
			w.enter(receiving)
			for range 61 {
				n.received.Add(50)
				time.Sleep(time.Second)
			}
		}, "bytes of the answer in 1m0s"},
		{"an answer that is seen before its request is written", func(w *watch, n *network) {
			w.enter(receiving)
			w.enter(waiting)
			n.received.Add(minProgress)
			time.Sleep(61 * time.Second)
		}, ""},
		{"a request that is sent again", func(w *watch, n *network) {
			w.enter(waiting)
			time.Sleep(59 * time.Second)
			w.enter(sending)
			time.Sleep(29 * time.Second)
			w.enter(waiting)
			time.Sleep(59 * time.Second)
		}, ""},
		{"a phase that begins when the last one's time is up", func(w *watch, n *network) {
			time.Sleep(30 * time.Second)
			w.enter(waiting)
			time.Sleep(59 * time.Second)
		}, "maybe"},
		{"the end", func(w *watch, n *network) {
			w.end()
			w.enter(waiting)
			time.Sleep(time.Hour)
		}, "canceled"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(time.Second)
				defer n.end()
				ctx, w := newWatch(t.Context(), &o, n)
				defer w.end()
				c.run(w, n)
				cause := context.Cause(ctx)
				switch {
				case c.want == "maybe": // which of the two is first is not said; the other must not panic
					if cause != nil && !strings.Contains(cause.Error(), "could be sent") {
						t.Errorf("cause %v", cause)
					}
				case c.want == "" && cause != nil:
					t.Errorf("cause %v", cause)
				case c.want != "" && (cause == nil || !strings.Contains(cause.Error(), c.want)):
					t.Errorf("cause %v, want %q", cause, c.want)
				case c.want != "" && c.want != "canceled" && !errors.Is(cause, errStalled):
					t.Errorf("cause %v is no stall", cause)
				}
			})
		})
	}
}
