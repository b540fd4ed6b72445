package uplink

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers of opentelemetry-proto's ExportMetricsServiceResponse and
// ExportMetricsPartialSuccess, and of google.rpc.Status.
const (
	responsePartialSuccess = 1

	partialRejected = 1
	partialMessage  = 2

	statusMessage = 2
)

// DecodeOTLPResponse reads the ExportMetricsServiceResponse with which a server
// answers a request that it has taken: the number of data points in it that it
// has dropped all the same (it does not say which), and why, or a warning where
// that number is 0.
func DecodeOTLPResponse(response []byte) (rejected uint64, message string, err error) {
	err = eachField(response, func(field protowire.Number, _ uint64, partial []byte) error {
		if field != responsePartialSuccess {
			return nil
		}
		return eachField(partial, func(field protowire.Number, v uint64, b []byte) error {
			switch field {
			case partialRejected:
				if int64(v) < 0 {
					return fmt.Errorf("%d rejected data points", int64(v))
				}
				rejected = v
			case partialMessage:
				message = string(b)
			}
			return nil
		})
	})
	if err != nil {
		return 0, "", fmt.Errorf("otlp response: %w", err)
	}
	return rejected, message, nil
}

// DecodeOTLPStatus reads the message of the google.rpc.Status with which a server
// answers a request that it refuses.
func DecodeOTLPStatus(status []byte) (message string, err error) {
	err = eachField(status, func(field protowire.Number, _ uint64, b []byte) error {
		if field == statusMessage {
			message = string(b)
		}
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("otlp status: %w", err)
	}
	return message, nil
}
