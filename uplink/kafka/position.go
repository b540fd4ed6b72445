package kafka

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// progress is what is committed of a queue.
type progress struct {
	position []byte // nil: nothing yet
	records  int64
	session  int // that it is known from
}

// progress asks what is committed of a queue.
func (s *TransactionalSink) progress(ctx context.Context, queue string) (p progress, err error) {
	var metadata *string
	err = s.p.within(ctx, s.p.o.AckTimeout, func(ctx context.Context) error {
		return retry(ctx, func() (err error) {
			p.records, metadata, err = s.fetch(ctx, queue)
			return err
		})
	})
	p.session = s.session
	if p.records = max(0, p.records); err == nil {
		p.position, err = parsePosition(metadata)
	}
	if err != nil {
		return p, fmt.Errorf("position of %s in group %s: %w", queue, s.group(queue), err)
	}
	return p, nil
}

func (s *TransactionalSink) group(queue string) string { return s.t.Group + "." + queue }

// fetch reads the offset of a queue's group, -1 if there is none.
func (s *TransactionalSink) fetch(ctx context.Context, queue string) (offset int64, metadata *string, err error) {
	request := kmsg.NewPtrOffsetFetchRequest()
	request.Group, request.RequireStable = s.group(queue), true
	topic := kmsg.NewOffsetFetchRequestTopic()
	topic.Topic, topic.Partitions = s.t.Topic, []int32{0}
	request.Topics = append(request.Topics, topic)
	response, err := request.RequestWith(ctx, s.p.client)
	if err == nil {
		err = kerr.ErrorForCode(response.ErrorCode)
	}
	if errors.Is(err, kerr.GroupIDNotFound) { // some brokers say so of a group that has never committed
		return -1, nil, nil
	}
	if err != nil {
		return 0, nil, err
	}
	for _, t := range response.Topics {
		for _, p := range t.Partitions {
			if t.Topic == s.t.Topic && p.Partition == 0 {
				return p.Offset, p.Metadata, kerr.ErrorForCode(p.ErrorCode)
			}
		}
	}
	return 0, nil, errors.New("the answer has no offset")
}

// commitPosition commits a position within the transaction, while its records
// are on their way: both count only when it ends.
func (s *TransactionalSink) commitPosition(ctx context.Context, client *kgo.Client, queue string, after progress) error {
	if queue == "" {
		return nil
	}
	id, epoch, err := client.ProducerID(ctx)
	if err != nil {
		return err
	}
	group := s.group(queue)
	if s.explicit {
		add := kmsg.NewPtrAddOffsetsToTxnRequest()
		add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = s.t.ID, id, epoch, group
		err := retry(ctx, func() error {
			response, err := add.RequestWith(ctx, client)
			if err != nil {
				return err
			}
			return kerr.ErrorForCode(response.ErrorCode)
		})
		if err != nil {
			return err
		}
	}
	commit := kmsg.NewPtrTxnOffsetCommitRequest()
	commit.TransactionalID, commit.ProducerID, commit.ProducerEpoch, commit.Group = s.t.ID, id, epoch, group
	commit.Generation = -1 // of no member of the group
	metadata := formatPosition(after.position)
	partition := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	partition.Offset, partition.Metadata = after.records, &metadata
	topic := kmsg.NewTxnOffsetCommitRequestTopic()
	topic.Topic, topic.Partitions = s.t.Topic, append(topic.Partitions, partition)
	commit.Topics = append(commit.Topics, topic)
	return retry(ctx, func() error {
		response, err := commit.RequestWith(ctx, client)
		if err != nil {
			return err
		}
		for _, t := range response.Topics {
			for _, p := range t.Partitions {
				return kerr.ErrorForCode(p.ErrorCode)
			}
		}
		return errors.New("the answer has no partition")
	})
}

// findTopic sees to it that the topic of the positions is there.
func (s *TransactionalSink) findTopic(ctx context.Context) error {
	metadata := kmsg.NewPtrMetadataRequest()
	metadata.Topics = []kmsg.MetadataRequestTopic{{Topic: &s.t.Topic}}
	told, err := metadata.RequestWith(ctx, s.p.client)
	if err == nil && len(told.Topics) == 1 {
		err = kerr.ErrorForCode(told.Topics[0].ErrorCode)
	}
	if errors.Is(err, kerr.UnknownTopicOrPartition) && !s.p.o.NoTopicCreation {
		err = s.createTopic(ctx)
	}
	if err != nil {
		return fmt.Errorf("topic %s of the positions: %w", s.t.Topic, err)
	}
	return nil
}

func (s *TransactionalSink) createTopic(ctx context.Context) error {
	create := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = s.t.Topic, 1, -1 // the brokers' default
	create.Topics = append(create.Topics, topic)
	response, err := create.RequestWith(ctx, s.p.client)
	if err != nil {
		return err
	}
	for _, t := range response.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			return err
		}
	}
	return nil
}

// positionPrefix says that what follows is a position, in base64: metadata is text.
const positionPrefix = "milepost/1 "

// maxPosition is the longest position, in bytes, of which the text is within
// Kafka's offset.metadata.max.bytes (4096 unless it is changed).
const maxPosition = 3000

func formatPosition(position []byte) string {
	return positionPrefix + base64.RawStdEncoding.EncodeToString(position)
}

func parsePosition(metadata *string) ([]byte, error) {
	if metadata == nil || *metadata == "" {
		return nil, nil
	}
	text, ok := strings.CutPrefix(*metadata, positionPrefix)
	if !ok {
		return nil, fmt.Errorf("the metadata %.40q is not milepost's: another program commits to this group, or a newer milepost has", *metadata)
	}
	position, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("the metadata is damaged: %w", err)
	}
	return position, nil
}
