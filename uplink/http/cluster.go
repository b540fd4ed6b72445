package http

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	nethttp "net/http"
	"net/url"
	"strings"
)

// findCluster asks a v3 proxy which cluster it is for, unless that is known.
func (s *Sink) findCluster(ctx context.Context) error {
	f, ok := s.form.(*restV3)
	if !ok || f.cluster != "" {
		return nil
	}
	u, err := s.at(f.base + "/v3/clusters")
	if err != nil {
		return err
	}
	var id string
	r := request{method: nethttp.MethodGet, url: u}
	err = s.do(ctx, &r, func(_ *nethttp.Response, body *bufio.Reader) (err error) {
		id, err = readCluster(body)
		return err
	})
	var refusal *refusal
	if errors.As(err, &refusal) && refusal.isOfRecords() {
		// It cannot be: none were sent.
		return fmt.Errorf("asking for the cluster: %v", err)
	}
	if err != nil {
		return fmt.Errorf("asking for the cluster: %w", err)
	}
	f.cluster = url.PathEscape(id)
	return nil
}

// forgetCluster has the proxy asked again if it no longer knows the cluster that
// it has named.
func (s *Sink) forgetCluster(err error) {
	var refusal *refusal
	if f, ok := s.form.(*restV3); ok && s.o.Cluster == "" && errors.As(err, &refusal) && refusal.status == nethttp.StatusNotFound {
		f.cluster = ""
	}
}

// readCluster reads the answer to GET /v3/clusters.
func readCluster(body *bufio.Reader) (string, error) {
	var list struct {
		Data []struct {
			ClusterID string `json:"cluster_id"`
		} `json:"data"`
	}
	if err := json.NewDecoder(body).Decode(&list); err != nil {
		return "", fmt.Errorf("the answer is not a list of clusters: %w", err)
	}
	var ids []string
	for _, c := range list.Data {
		if c.ClusterID != "" {
			ids = append(ids, c.ClusterID)
		}
	}
	switch len(ids) {
	case 1:
		return ids[0], nil
	case 0:
		return "", errors.New("the proxy names no cluster: set the sink's cluster")
	}
	return "", fmt.Errorf("the proxy names several clusters (%s): set the sink's cluster to one of them", shorten(strings.Join(ids, ", ")))
}
