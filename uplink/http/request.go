package http

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	nethttp "net/http"
	"net/url"
	"strings"

	"milepost/uplink"
)

// request is one request, however often it takes to the server.
type request struct {
	method      string
	url         *url.URL
	body        []byte
	compression string // of the body; empty is none
	key         string // for Idempotency-Key
	records     int
}

const (
	// largeBody is what a server is asked for before it gets it; doubtfulBody
	// where it did not take the last one: neither may cost more than a round trip
	// when it would be for nothing.
	largeBody    = 256 << 10
	doubtfulBody = 16 << 10
	// maxRedirects that are followed.
	maxRedirects = 3
)

// exchange sends a request and reads its answer. Every error is one for Send.
func (s *Sink) exchange(ctx context.Context, r *request) (*answer, error) {
	var a answer
	err := s.do(ctx, r, func(response *nethttp.Response, body *bufio.Reader) (err error) {
		a, err = s.form.answer(body, response.Header.Get("Content-Type"), r.records)
		if err != nil {
			return fmt.Errorf("%s: the answer is not what a server of the form %v gives: %w", status(response), s.o.Form, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, text := range []*string{&a.refusal, &a.failure, &a.remark} {
		*text = s.hidden.clean(*text)
	}
	return &a, nil
}

// do sends a request and calls read with the answer if its status is 2xx; any
// other is an error. Errors say where they come from.
func (s *Sink) do(ctx context.Context, r *request, read func(*nethttp.Response, *bufio.Reader) error) error {
	watched, w := newWatch(ctx, &s.o, s.network)
	defer w.end()
	err := s.roundTrip(watched, w, r, read)
	var refusal *refusal
	errors.As(err, &refusal)
	// After 413 smaller bodies follow.
	s.doubtful = err != nil && (refusal == nil || refusal.status != nethttp.StatusRequestEntityTooLarge)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		s.network.hangUp()
		return ctx.Err()
	}
	if refusal == nil {
		// Nothing good is to be expected of the connection.
		s.network.hangUp()
		err = s.explain(watched, err)
	}
	err = fmt.Errorf("%s %s: %w", r.method, redact(r.url), err)
	if refusal != nil && refusal.after > 0 {
		err = uplink.RetryAfter(err, refusal.after)
	}
	return err
}

// roundTrip sends a request, to where it is redirected too.
func (s *Sink) roundTrip(ctx context.Context, w *watch, r *request, read func(*nethttp.Response, *bufio.Reader) error) error {
	header, err := s.header(r)
	if err != nil {
		return err
	}
	target := r.url
	for hop := 0; ; hop++ {
		response, u, err := s.attempt(ctx, w, r, target, header)
		if err != nil {
			return err
		}
		next, err := redirected(response, target, hop)
		if err == nil && next == nil {
			err = s.receive(response, r, u, read)
		}
		response.Body.Close()
		u.release()
		if next == nil || err != nil {
			return err
		}
		target = next
	}
}

// attempt sends a request and waits for the begin of the answer. The upload has
// to be released when the answer was read.
//
// A server may close a connection in the moment when the request goes out. That
// is no failure: the request then goes over a new connection, once.
func (s *Sink) attempt(ctx context.Context, w *watch, r *request, target *url.URL, header nethttp.Header) (*nethttp.Response, *upload, error) {
	for {
		u := newUpload(r.body, header.Get("Expect") != "")
		q := (&nethttp.Request{
			Method: r.method, URL: target, Host: target.Host, Header: header,
			Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, // or net/http overlooks Expect
		}).WithContext(u.trace(ctx, w))
		if r.body != nil {
			q.ContentLength = int64(len(r.body))
			q.GetBody = u.reader // net/http may have to begin again, on another connection
			q.Body, _ = u.reader()
		}
		response, err := s.transport.RoundTrip(q)
		if err == nil {
			u.early = u.left.Load() > 0
			return response, u, nil
		}
		u.release()
		if !u.reused.Load() || u.answered.Load() || ctx.Err() != nil {
			return nil, nil, err
		}
		s.network.hangUp()
	}
}

// header makes the headers of a request, and notes what is secret of them.
func (s *Sink) header(r *request) (nethttp.Header, error) {
	h := make(nethttp.Header)
	s.hidden = s.hidden[:0]
	for name, value := range s.o.Header {
		h.Set(name, value)
		s.hidden.add(value)
	}
	if h.Get("User-Agent") == "" {
		h.Set("User-Agent", "milepost")
	}
	s.form.header(h)
	if r.compression != "" {
		h.Set("Content-Encoding", r.compression)
	}
	if r.key != "" {
		h.Set("Idempotency-Key", r.key)
	}
	if r.body == nil {
		h.Del("Content-Type")
	}
	if n := len(r.body); n >= largeBody || n >= doubtfulBody && s.doubtful {
		h.Set("Expect", "100-continue")
	}
	token := s.o.Token
	if s.o.TokenSource != nil {
		var err error
		if token, err = s.o.TokenSource(); err != nil {
			return nil, fmt.Errorf("no token: %w", err)
		}
		if token = strings.TrimSpace(token); token == "" {
			return nil, errors.New("no token: it is empty")
		}
	}
	switch {
	case token != "":
		if strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
			return nil, errors.New("the token has characters that none can have, such as spaces or line ends")
		}
		h.Set("Authorization", "Bearer "+token)
		s.hidden.add(token)
	case s.o.Username != "":
		q := nethttp.Request{Header: h}
		q.SetBasicAuth(s.o.Username, s.o.Password)
		s.hidden.add(s.o.Password)
		s.hidden.add(strings.TrimPrefix(h.Get("Authorization"), "Basic "))
	}
	return h, nil
}

// redirected returns where a redirection leads to: nil if it is none. Only those
// that keep method and body are followed, and only on the same server, which
// alone is to have the token.
func redirected(response *nethttp.Response, from *url.URL, hop int) (*url.URL, error) {
	if response.StatusCode < 300 || response.StatusCode == nethttp.StatusNotModified || response.StatusCode > 399 {
		return nil, nil
	}
	to, err := from.Parse(response.Header.Get("Location"))
	if err != nil || response.Header.Get("Location") == "" {
		return nil, newRefusal(response, "a redirection to nowhere")
	}
	keeps := response.StatusCode == nethttp.StatusTemporaryRedirect || response.StatusCode == nethttp.StatusPermanentRedirect
	switch {
	case to.Scheme != from.Scheme || to.Host != from.Host:
		return nil, newRefusal(response, fmt.Sprintf("a redirection to %s, another server, is not followed: if it is the right one, set it as the URL; if not, the network may want a login", redact(to)))
	case !keeps:
		return nil, newRefusal(response, fmt.Sprintf("a redirection to %s that would lose the records: set the URL to where they belong", redact(to)))
	case hop == maxRedirects:
		return nil, newRefusal(response, fmt.Sprintf("more than %d redirections", maxRedirects))
	}
	to.User, to.Fragment = nil, ""
	io.CopyN(io.Discard, response.Body, maxAnswer)
	return to, nil
}

var (
	errTooLong = errors.New("the answer is too long")
	errEarly   = errors.New("the server has answered before it had the whole request, so that it cannot have taken it")
	errWebPage = errors.New("the answer is a web page: the URL may be wrong, or the network wants a login")
)

// bounded is an io.LimitedReader that tells when there is more.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLong
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// receive reads an answer to its end, so that the connection can be used again.
func (s *Sink) receive(response *nethttp.Response, r *request, u *upload, read func(*nethttp.Response, *bufio.Reader) error) error {
	if response.StatusCode < 200 || response.StatusCode > 299 {
		// What can be read of it is enough.
		text, _ := io.ReadAll(&bounded{response.Body, maxAnswer})
		refusal := newRefusal(response, s.hidden.clean(message(text, response.Header.Get("Content-Type"))))
		refusal.ofTLS = isOfTLS(refusal.status, text)
		refusal.addHint(s.o.Form, r.compression)
		return refusal
	}
	if u.early && (u.asks || !s.form.streams()) {
		return fmt.Errorf("%s: %w", status(response), errEarly)
	}
	body := bufio.NewReader(&bounded{response.Body, s.form.answerSize(r.records)})
	if begin, _ := body.Peek(64); isWebPage(begin) {
		return fmt.Errorf("%s: %w", status(response), errWebPage)
	}
	if err := read(response, body); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, body); err != nil && !errors.Is(err, errTooLong) {
		return fmt.Errorf("%s: the answer ends early: %w", status(response), err)
	}
	return nil
}

// isWebPage recognises what captive portals answer to everything.
func isWebPage(begin []byte) bool {
	text := strings.ToLower(strings.TrimLeft(string(begin), "\ufeff \t\r\n"))
	return strings.HasPrefix(text, "<!doctype html") || strings.HasPrefix(text, "<html")
}

// secrets are texts that errors must not have.
type secrets []string

// add adds a secret, unless it is so short that it stands for anything.
func (s *secrets) add(text string) {
	if len(text) >= 4 {
		*s = append(*s, text)
	}
}

// clean removes them from what a server has said: some repeat what they got.
func (s secrets) clean(text string) string {
	for _, secret := range s {
		text = strings.ReplaceAll(text, secret, "[secret]")
	}
	return text
}
