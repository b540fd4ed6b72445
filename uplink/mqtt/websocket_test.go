package mqtt_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/gorilla/websocket"

	"milepost/uplink"
	"milepost/uplink/mqtt"
	"milepost/uplink/uplinktest"
	"milepost/uplink/uplinktest/mqttbroker"
)

// gateway is a server that carries MQTT over WebSockets to a broker, for those
// who know path and token. It cuts what comes from the broker into small
// messages, at places that have nothing to do with MQTT.
func gateway(t *testing.T, broker, path, token string) *httptest.Server {
	var sessions sync.WaitGroup
	upgrader := websocket.Upgrader{Subprotocols: []string{"mqtt"}}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != path || r.Header.Get("Authorization") != token {
			http.Error(w, "who are you?", http.StatusForbidden)
			return
		}
		ws, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", broker)
		if err != nil {
			ws.Close()
			return
		}
		sessions.Go(func() {
			buffer := make([]byte, 3)
			for {
				n, err := server.Read(buffer)
				if err != nil || ws.WriteMessage(websocket.BinaryMessage, buffer[:n]) != nil {
					break
				}
			}
			ws.Close()
		})
		sessions.Go(func() {
			for {
				_, message, err := ws.NextReader()
				if err != nil {
					break
				}
				if _, err := io.Copy(server, message); err != nil {
					break
				}
			}
			server.Close()
		})
	}))
	t.Cleanup(func() {
		server.Close()
		sessions.Wait()
	})
	return server
}

func TestWebSocket(t *testing.T) {
	broker, err := mqttbroker.Start("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { broker.Stop() })
	for _, scheme := range []string{"ws", "wss"} {
		t.Run(scheme, func(t *testing.T) {
			server := gateway(t, broker.Addr(), "/fleet/mqtt", "secret token")
			o := mqtt.Options{Header: http.Header{"Authorization": {"secret token"}}}
			if scheme == "wss" {
				server.StartTLS()
				o.TLS = server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
				o.TLS.NextProtos = nil
			} else {
				server.Start()
			}
			o.URL = scheme + "://" + server.Listener.Addr().String()
			err := newSink(t, o).Send(t.Context(), uplinktest.Records(1, 1))
			if err == nil || uplink.IsPermanent(err) || !strings.Contains(err.Error(), "403 Forbidden") || !strings.Contains(err.Error(), `"/mqtt"`) || strings.Contains(err.Error(), "secret") {
				t.Errorf("with a wrong path: %v", err)
			}
			o.URL += "/fleet/mqtt?sig=secret"
			sink := newSink(t, o)
			before := len(broker.Messages())
			send(t, sink, uplinktest.Records(1, 1000)...)
			var payload uint64
			for _, m := range broker.Messages()[before:] {
				payload += uint64(len(m.Payload))
			}
			sent, received := sink.Traffic()
			if sent < payload+300 || sent > payload+10_000 || received < 100 {
				t.Errorf("%d bytes sent, %d received, for %d of payload", sent, received, payload)
			}
			if err := sink.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestTraffic: what is counted is what the broker has got.
func TestTraffic(t *testing.T) {
	_, link := start(t)
	sink := newSink(t, mqtt.Options{URL: "mqtt://" + link.Addr()})
	for i := range uint64(3) {
		send(t, sink, uplinktest.Records(100*i+1, 100)...)
	}
	sent, received := sink.Traffic()
	if passed := link.Passed(); int64(sent) != passed || received != 4+4*3 { // CONNACK, and PUBACK for one message a Send
		t.Errorf("%d bytes sent, %d received; the link has passed %d", sent, received, passed)
	}
}
