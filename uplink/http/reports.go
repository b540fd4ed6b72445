package http

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"milepost/uplink"
)

// report is what a REST proxy says of a record: an element of the v2 answer's
// array, an object of the v3 answer's stream.
type report struct {
	ErrorCode     int64  `json:"error_code"` // 0, absent, null or 200: it is in Kafka
	Error         string `json:"error"`      // Confluent v2
	Message       string `json:"message"`    // v3, and the Strimzi bridge
	Offset        *int64 `json:"offset"`
	ResumeAfterMS int64  `json:"resume_after_ms"` // v3, when limited
}

// verdict sorts error codes as proxies use them. Their documentation names two
// (1: final, 2: worth another try), Confluent's sends 50002 for every exception
// that is not worth one and 50003 for the others, its v3 a status that may have
// two more digits, Strimzi's bridge 500 for all but a missing topic. So that a
// proxy which is set up wrongly costs no data, a record is poison only where code
// or text speak of the record itself.
func (r *report) verdict() verdict {
	status := r.ErrorCode
	for status > 999 {
		status /= 10
	}
	switch {
	case r.ErrorCode == 0 || 200 <= r.ErrorCode && r.ErrorCode < 300:
		return accepted
	case status == 400 || status == 413 || status == 422, r.isOfRecord():
		return refused
	}
	return pending
}

// isOfRecord looks for what Kafka's client and brokers say of a record that they
// will never take: RecordTooLargeException, InvalidRecordException,
// InvalidTimestampException.
func (r *report) isOfRecord() bool {
	text := strings.ToLower(r.text())
	for _, sign := range []string{
		"larger than the max message size",
		"when serialized which is larger than",
		"failed the validation on broker",
		"timestamp of the message is out of acceptable range",
	} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}

func (r *report) text() string {
	if r.Error != "" {
		return r.Error
	}
	return r.Message
}

// String is the text for errors.
func (r *report) String() string {
	s := fmt.Sprintf("%d %s", r.ErrorCode, shorten(r.text()))
	switch code := r.ErrorCode; {
	case code/100 == 401 || code/100 == 403 || code == 401 || code == 403:
		s += ": check what the proxy is allowed to do in Kafka"
	case code/100 == 404 || code == 404:
		s += ": check that the topic exists"
	}
	return s
}

// collector makes an answer of reports, which come in the order of the records.
type collector struct {
	a     answer
	count int
	n     int
}

var errTooManyReports = errors.New("it reports on more records than were sent")

func (c *collector) add(r *report) error {
	if c.count == c.n {
		return errTooManyReports
	}
	v := r.verdict()
	if v != accepted && c.a.verdicts == nil {
		c.a.verdicts = make([]verdict, c.n)
	}
	switch v {
	case refused:
		c.a.verdicts[c.count] = v
		if c.a.refusal == "" {
			c.a.refusal = r.String()
		}
	case pending:
		c.a.verdicts[c.count] = v
		if c.a.failure == "" {
			c.a.failure = r.String()
		}
	}
	if v != refused && r.ResumeAfterMS > 0 {
		ms := min(r.ResumeAfterMS, int64(uplink.MaxRetryAfter/time.Millisecond))
		c.a.after = max(c.a.after, time.Duration(ms)*time.Millisecond)
	}
	c.count++
	return nil
}

// finish makes what was not reported on pending.
func (c *collector) finish() answer {
	if c.count < c.n {
		if c.a.verdicts == nil {
			c.a.verdicts = make([]verdict, c.n)
		}
		for i := c.count; i < c.n; i++ {
			c.a.verdicts[i] = pending
		}
		if c.a.failure == "" {
			c.a.failure = fmt.Sprintf("it reports on %d records of %d", c.count, c.n)
		}
	}
	return c.a
}

// readOffsets reads the answer of v2: {"offsets":[{"partition":0,"offset":5},
// {"error_code":50003,"error":"…"},…],…}, element by element.
func readOffsets(body io.Reader, n int) (answer, error) {
	c := collector{n: n}
	d := json.NewDecoder(body)
	if err := expect(d, json.Delim('{')); err != nil {
		return answer{}, err
	}
	found := false
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return answer{}, err
		}
		if key != "offsets" || found {
			var other json.RawMessage
			if err := d.Decode(&other); err != nil {
				return answer{}, err
			}
			continue
		}
		found = true
		if err := expect(d, json.Delim('[')); err != nil {
			return answer{}, err
		}
		for d.More() {
			var r report
			if err := d.Decode(&r); err != nil {
				return answer{}, err
			}
			if err := c.add(&r); err != nil {
				return answer{}, err
			}
		}
		if err := expect(d, json.Delim(']')); err != nil {
			return answer{}, err
		}
	}
	if err := expect(d, json.Delim('}')); err != nil {
		return answer{}, err
	}
	if !found {
		return answer{}, errors.New(`it has no "offsets"`)
	}
	return c.finish(), nil
}

func expect(d *json.Decoder, want json.Delim) error {
	token, err := d.Token()
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return err
	}
	if token != want {
		return fmt.Errorf("%v where %v belongs", token, want)
	}
	return nil
}

// readReports reads the answer of v3: an object a record, one after the other.
// The proxy ends it early when it cannot go on.
func readReports(body io.Reader, n int) (answer, error) {
	c := collector{n: n}
	d := json.NewDecoder(body)
	for {
		var r report
		err := d.Decode(&r)
		if err == io.EOF {
			return c.finish(), nil
		}
		if err != nil {
			return answer{}, err
		}
		if r.ErrorCode == 0 && r.Offset == nil {
			return answer{}, errors.New("a report has neither an error code nor an offset")
		}
		if err := c.add(&r); err != nil {
			return answer{}, err
		}
	}
}
