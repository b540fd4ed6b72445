package http

import (
	"encoding/json"
	"fmt"
	nethttp "net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"milepost/uplink"
)

// refusal is an answer with a status other than 2xx.
type refusal struct {
	status  int
	text    string // of the status line
	message string // from the body
	hint    string // the next step
	after   time.Duration
	// ofTLS says that a web server has refused how it was spoken to, before any
	// record came into it.
	ofTLS bool
}

// Error implements error.
func (r *refusal) Error() string {
	text := r.text
	if r.message != "" {
		text += ": " + r.message
	}
	if r.hint != "" {
		text += ": " + r.hint
	}
	return text
}

// isOfRecords reports whether the server says that the records are invalid,
// which no other try would change. All other statuses speak of the server, of
// the way to it or of how the sink is set up: once that is put right, the same
// records will do.
func (r *refusal) isOfRecords() bool {
	switch r.status {
	case nethttp.StatusBadRequest, nethttp.StatusUnprocessableEntity:
		return !r.ofTLS
	case nethttp.StatusRequestEntityTooLarge: // where there is only one
		return true
	}
	return false
}

// refusalsOfTLS is what web servers say with a status of 400 when they are spoken
// to without TLS, or without the client certificate that they want.
var refusalsOfTLS = []string{
	"http request to an https server",           // Go
	"plain http request was sent to https port", // nginx
	"no required ssl certificate was sent",      // nginx
	"the ssl certificate error",                 // nginx
	"speaking plain http to an ssl-enabled",     // Apache
	"combination of host and port requires tls", // Tomcat
}

func isOfTLS(status int, body []byte) bool {
	if status != nethttp.StatusBadRequest {
		return false
	}
	text := strings.ToLower(string(body))
	return slices.ContainsFunc(refusalsOfTLS, func(words string) bool { return strings.Contains(text, words) })
}

func newRefusal(response *nethttp.Response, message string) *refusal {
	return &refusal{
		status:  response.StatusCode,
		text:    status(response),
		message: message,
		after:   retryAfter(response.Header, time.Now()),
	}
}

// status is the answer's status in words of ours: the server's own can be of any
// length.
func status(response *nethttp.Response) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", response.StatusCode, nethttp.StatusText(response.StatusCode)))
}

// addHint adds what to do about it.
func (r *refusal) addHint(form Form, compression string) {
	switch {
	case r.ofTLS:
		r.hint = "the server wants https or, if the URL says that, a client certificate that it trusts"
	case r.status == nethttp.StatusUnauthorized || r.status == nethttp.StatusForbidden:
		r.hint = "check token, username and password, or the client certificate"
	case r.status == nethttp.StatusProxyAuthRequired:
		r.hint = "the HTTP proxy wants a user and a password"
	case r.status == nethttp.StatusNotFound && form == Generic:
		r.hint = "check the URL's path"
	case r.status == nethttp.StatusNotFound:
		r.hint = "check the URL, and that the topic exists"
	case r.status == nethttp.StatusMethodNotAllowed:
		r.hint = "nothing can be posted there: check the URL's path"
	case r.status == nethttp.StatusUnsupportedMediaType && compression != "":
		r.hint = fmt.Sprintf("check the sink's encoding, and whether the server takes bodies compressed with %s (if not, set compression to none)", compression)
	case r.status == nethttp.StatusUnsupportedMediaType:
		r.hint = "check the sink's encoding"
	}
}

// retryAfter is what the header Retry-After says: seconds or a date, which is
// compared with the server's own clock where it tells it, as this machine's may
// not be set. 0 is nothing.
func retryAfter(header nethttp.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(header.Get("Retry-After"))
	if value == "" {
		return 0
	}
	if strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseInt(value, 10, 64)
		if limit := int64(uplink.MaxRetryAfter / time.Second); err != nil || seconds > limit { // more digits than a number has
			seconds = limit
		}
		return time.Duration(seconds) * time.Second
	}
	date, err := nethttp.ParseTime(value)
	if err != nil {
		return 0
	}
	if its, err := nethttp.ParseTime(header.Get("Date")); err == nil {
		now = its
	}
	return min(max(date.Sub(now), 0), uplink.MaxRetryAfter)
}

// message finds in the body of a refusal what is meant for people.
func message(body []byte, contentType string) string {
	if strings.Contains(contentType, "json") {
		var object struct {
			Message string          `json:"message"`
			Error   json.RawMessage `json:"error"`
			Detail  string          `json:"detail"` // RFC 9457
		}
		if json.Unmarshal(body, &object) == nil {
			var text string
			if json.Unmarshal(object.Error, &text) != nil {
				text = ""
			}
			for _, m := range []string{object.Message, object.Detail, text} {
				if m != "" {
					return shorten(m)
				}
			}
		}
	}
	if strings.Contains(contentType, "protobuf") {
		text, err := uplink.DecodeOTLPStatus(body)
		if err != nil {
			return ""
		}
		return shorten(text)
	}
	if isWebPage(body) {
		return "" // which says no more than the status
	}
	return shorten(string(body))
}

// maxMessage limits what of a server's words gets into an error, in bytes.
const maxMessage = 200

// shorten makes one short line of a server's words.
func shorten(text string) string {
	text = strings.ToValidUTF8(text[:min(len(text), 4*maxMessage)], "?")
	text = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, text)), " ")
	if len(text) > maxMessage {
		text = strings.ToValidUTF8(text[:maxMessage], "") + "…"
	}
	return text
}
