package update

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Download reads a file over HTTP or HTTPS. A link that breaks or stalls on the way
// costs time: it is opened again and goes on where it was. Not safe for concurrent
// use.
type Download struct {
	ctx    context.Context
	opts   DownloadOptions
	client *http.Client
	url    *url.URL
	shown  string // the address for messages, without secrets

	body   io.ReadCloser
	cancel context.CancelFunc // of the request
	stall  *time.Timer        // cancels it, too
	offset int64
	total  int64  // -1: not known
	tag    string // a strong ETag
	lastAt time.Time
}

// DownloadOptions are options of OpenURL. The zero value is usable.
type DownloadOptions struct {
	// Stall is how long a link may bring nothing before it is opened again, 30 s if
	// zero; GiveUp how long no link may, 10 minutes if zero.
	Stall, GiveUp time.Duration
	// Wait is how long to wait before the first attempt to open it again, 1 s if zero.
	// It is doubled up to 30 s.
	Wait time.Duration
	// Broken is told of links that broke, and may be nil.
	Broken func(at int64, err error)
}

// OpenURL asks for a file. What fails here is not tried again: who has just given
// the address is there to mend it. Close the download when done.
func OpenURL(ctx context.Context, address string, opts DownloadOptions) (*Download, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("the address cannot be read: %w", errors.Unwrap(err))
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("the address is none of http:// or https:// with a host")
	}
	opts.Stall = cmp.Or(opts.Stall, 30*time.Second)
	opts.Wait = cmp.Or(opts.Wait, time.Second)
	opts.GiveUp = cmp.Or(opts.GiveUp, 10*time.Minute)
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: opts.Stall}).DialContext,
		TLSHandshakeTimeout: opts.Stall,
		ForceAttemptHTTP2:   true,
		DisableCompression:  true, // offsets are those of the file
	}
	d := &Download{ctx: ctx, opts: opts, url: u, client: &http.Client{Transport: transport}, total: -1, lastAt: time.Now()}
	d.shown = (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
	if err := d.connect(); err != nil {
		d.Close()
		return nil, fmt.Errorf("%s: %w", d.shown, err)
	}
	return d, nil
}

// Total is the length of the file in bytes, -1 if the server does not say it.
func (d *Download) Total() int64 { return d.total }

// permanentError is one that the same request would meet again.
type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }

// connect asks for what follows the offset.
func (d *Download) connect() error {
	ctx, cancel := context.WithCancel(d.ctx)
	stall := time.AfterFunc(d.opts.Stall, cancel)
	response, err := d.ask(ctx)
	if err != nil {
		stalled := !stall.Stop() && d.ctx.Err() == nil
		cancel()
		if stalled {
			return fmt.Errorf("no answer within %v", d.opts.Stall)
		}
		return err
	}
	d.body, d.cancel, d.stall = response.Body, cancel, stall
	if err := d.accept(response); err != nil {
		d.hangUp()
		return err
	}
	return nil
}

func (d *Download) ask(ctx context.Context) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url.String(), nil)
	if err != nil {
		return nil, err
	}
	if d.offset > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", d.offset))
		if d.tag != "" {
			request.Header.Set("If-Range", d.tag)
		}
	}
	response, err := d.client.Do(request)
	var withAddress *url.Error // which may have a token in it
	if errors.As(err, &withAddress) {
		err = withAddress.Err
	}
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &certificate) {
		err = permanentError{err}
	}
	return response, err
}

// accept looks whether an answer is the rest of the file.
func (d *Download) accept(r *http.Response) error {
	total, tag := int64(-1), r.Header.Get("ETag")
	if strings.HasPrefix(tag, "W/") {
		tag = ""
	}
	switch {
	case r.StatusCode == http.StatusOK:
		total = r.ContentLength
	case r.StatusCode == http.StatusPartialContent && d.offset > 0:
		var first, last int64
		if _, err := fmt.Sscanf(r.Header.Get("Content-Range"), "bytes %d-%d/%d", &first, &last, &total); err != nil || first != d.offset {
			return permanentError{fmt.Errorf("asked for what follows byte %d, the server answered with %q", d.offset, r.Header.Get("Content-Range"))}
		}
	case r.StatusCode >= 500 || r.StatusCode == http.StatusTooManyRequests || r.StatusCode == http.StatusRequestTimeout:
		return fmt.Errorf("the server says %s", r.Status)
	default:
		return permanentError{fmt.Errorf("the server says %s", r.Status)}
	}
	if d.offset == 0 {
		d.total, d.tag = total, tag
		return nil
	}
	if total != d.total || tag != d.tag {
		return permanentError{errors.New("the file has changed at the server since the download began: start again")}
	}
	if r.StatusCode == http.StatusOK { // a server that knows no ranges
		return d.skip()
	}
	return nil
}

// skip reads over what there is already.
func (d *Download) skip() error {
	for at := int64(0); at < d.offset; {
		d.stall.Reset(d.opts.Stall)
		n, err := io.CopyN(io.Discard, d.body, min(1<<16, d.offset-at))
		at += n
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *Download) hangUp() {
	if d.body != nil {
		d.stall.Stop()
		d.cancel()
		d.body.Close()
		d.body = nil
	}
}

// Read reads on. A file of which the server has said the length ends there.
func (d *Download) Read(p []byte) (int, error) {
	for wait := d.opts.Wait; ; wait = min(2*wait, 30*time.Second) {
		n, err := d.readOnce(p)
		if n > 0 {
			d.lastAt = time.Now()
			return n, nil
		}
		if err == nil {
			continue
		}
		var permanent permanentError
		switch {
		case err == io.EOF:
			return 0, io.EOF
		case d.ctx.Err() != nil:
			return 0, d.ctx.Err()
		case errors.As(err, &permanent):
			return 0, fmt.Errorf("%s: %w", d.shown, err)
		case time.Since(d.lastAt) > d.opts.GiveUp:
			return 0, fmt.Errorf("%s: nothing came for %v: %w", d.shown, d.opts.GiveUp, err)
		}
		if d.opts.Broken != nil {
			d.opts.Broken(d.offset, err)
		}
		select {
		case <-d.ctx.Done():
			return 0, d.ctx.Err()
		case <-time.After(wait/2 + rand.N(wait/2+1)):
		}
	}
}

// readOnce reads from the link, which it opens if there is none.
func (d *Download) readOnce(p []byte) (int, error) {
	if d.body == nil {
		if d.offset == d.total {
			return 0, io.EOF
		}
		if err := d.connect(); err != nil {
			return 0, err
		}
	}
	d.stall.Reset(d.opts.Stall)
	n, err := d.body.Read(p)
	stalled := !d.stall.Stop()
	d.offset += int64(n)
	if n > 0 || err == nil {
		return n, nil // an error comes again
	}
	d.hangUp()
	switch {
	case err == io.EOF && (d.total < 0 || d.offset == d.total):
		return 0, io.EOF
	case err == io.EOF:
		return 0, io.ErrUnexpectedEOF
	case stalled:
		return 0, fmt.Errorf("nothing came for %v", d.opts.Stall)
	}
	return 0, err
}

// Close ends the download.
func (d *Download) Close() error {
	d.hangUp()
	d.client.CloseIdleConnections()
	return nil
}
