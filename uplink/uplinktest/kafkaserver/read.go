package kafkaserver

import (
	"context"
	"fmt"
	"maps"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Messages reads all of a topic as a read-committed consumer does, partition by
// partition, as soon as no transaction is open there: one that has been committed
// still is for a moment, until the brokers have marked its end in all partitions.
// A topic that is not there has no messages.
func (s *Server) Messages(ctx context.Context, topic string) ([]*kgo.Record, error) {
	return ReadCommitted(ctx, s.admin, topic)
}

// ReadCommitted is Messages for any broker that is a whole cluster, at its
// address.
func ReadCommitted(ctx context.Context, address, topic string) ([]*kgo.Record, error) {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(address),
		kgo.Dialer(func(ctx context.Context, network, _ string) (net.Conn, error) { // past any proxy
			return new(net.Dialer).DialContext(ctx, network, address)
		}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // else what follows the last record of an aborted transaction is waited for
		kgo.FetchMaxWait(50e6),
	)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", topic, err)
	}
	defer client.Close()
	ends, err := stableEnds(ctx, client, topic)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", topic, err)
	}
	offsets := make(map[int32]kgo.Offset)
	for partition, end := range ends {
		if end > 0 {
			offsets[partition] = kgo.NewOffset().AtStart()
		}
	}
	client.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: offsets})
	messages := make(map[int32][]*kgo.Record)
	for left := len(offsets); left > 0; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("read %s: %w", topic, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset >= ends[r.Partition] {
				return
			}
			if !r.Attrs.IsControl() {
				messages[r.Partition] = append(messages[r.Partition], r)
			}
			if r.Offset == ends[r.Partition]-1 {
				left--
			}
		})
	}
	var all []*kgo.Record
	for partition := range int32(len(ends)) {
		all = append(all, messages[partition]...)
	}
	return all, nil
}

// stableEnds are the offsets behind the last record, by partition, when no
// transaction is open.
func stableEnds(ctx context.Context, client *kgo.Client, topic string) (map[int32]int64, error) {
	partitions, err := partitions(ctx, client, topic)
	if err != nil || len(partitions) == 0 {
		return nil, err
	}
	for {
		stable, err := ends(ctx, client, topic, partitions, readCommitted)
		if err != nil {
			return nil, err
		}
		all, err := ends(ctx, client, topic, partitions, readUncommitted)
		if err != nil {
			return nil, err
		}
		if maps.Equal(stable, all) {
			return stable, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("there is an open transaction: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func partitions(ctx context.Context, client *kgo.Client, topic string) (partitions []int32, err error) {
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = []kmsg.MetadataRequestTopic{{Topic: &topic}}
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	for _, t := range response.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err == kerr.UnknownTopicOrPartition {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
		for _, p := range t.Partitions {
			partitions = append(partitions, p.Partition)
		}
	}
	return partitions, nil
}

// Isolation levels of a ListOffsets request, and its timestamp for the end.
const (
	readUncommitted = 0
	readCommitted   = 1
	latest          = -1
)

// ends are the offsets behind the last record that a consumer of that isolation
// level can see.
func ends(ctx context.Context, client *kgo.Client, topic string, partitions []int32, isolation int8) (map[int32]int64, error) {
	request := kmsg.NewPtrListOffsetsRequest()
	request.IsolationLevel = isolation
	of := kmsg.NewListOffsetsRequestTopic()
	of.Topic = topic
	for _, n := range partitions {
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition, p.Timestamp = n, latest
		of.Partitions = append(of.Partitions, p)
	}
	request.Topics = append(request.Topics, of)
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	offsets := make(map[int32]int64)
	for _, t := range response.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return nil, err
			}
			offsets[p.Partition] = p.Offset
		}
	}
	return offsets, nil
}

// CreateTopic makes a topic, with settings such as max.message.bytes.
func (s *Server) CreateTopic(ctx context.Context, topic string, partitions int32, settings map[string]string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(s.admin))
	if err != nil {
		return fmt.Errorf("kafka server: %w", err)
	}
	defer client.Close()
	request := kmsg.NewPtrCreateTopicsRequest()
	of := kmsg.NewCreateTopicsRequestTopic()
	of.Topic, of.NumPartitions, of.ReplicationFactor = topic, partitions, 1
	for name, value := range settings {
		config := kmsg.NewCreateTopicsRequestTopicConfig()
		config.Name, config.Value = name, &value
		of.Configs = append(of.Configs, config)
	}
	request.Topics = append(request.Topics, of)
	response, err := request.RequestWith(ctx, client)
	if err == nil && len(response.Topics) == 1 {
		err = kerr.ErrorForCode(response.Topics[0].ErrorCode)
	}
	if err != nil {
		return fmt.Errorf("kafka server: create topic %s: %w", topic, err)
	}
	return nil
}
