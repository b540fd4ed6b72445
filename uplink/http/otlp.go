package http

import (
	"encoding/json"
	"errors"
	"mime"
	"strconv"

	"milepost/uplink"
)

// decodePartialSuccess reads an ExportMetricsServiceResponse, in the JSON mapping
// too: some servers answer so whatever they were asked in.
func decodePartialSuccess(text []byte, contentType string) (rejected uint64, message string, err error) {
	if !isJSON(contentType) {
		return uplink.DecodeOTLPResponse(text)
	}
	var response struct {
		PartialSuccess struct {
			RejectedDataPoints json.RawMessage `json:"rejectedDataPoints"` // a string or a number
			ErrorMessage       string          `json:"errorMessage"`
		} `json:"partialSuccess"`
	}
	if err := json.Unmarshal(text, &response); err != nil {
		return 0, "", err
	}
	p := response.PartialSuccess
	number := string(p.RejectedDataPoints)
	if number == "" || number == "null" {
		return 0, p.ErrorMessage, nil
	}
	if n := len(number); n >= 2 && number[0] == '"' && number[n-1] == '"' {
		number = number[1 : n-1]
	}
	rejected, err = strconv.ParseUint(number, 10, 63)
	if err != nil {
		return 0, "", errors.New("rejectedDataPoints is not a number")
	}
	return rejected, p.ErrorMessage, nil
}

func isJSON(contentType string) bool {
	mediaType, _, _ := mime.ParseMediaType(contentType)
	return mediaType == "application/json"
}
