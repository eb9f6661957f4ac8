package lane

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
)

// protocolName is what members agree on. Another way to assign, or another
// meaning of the metadata, needs another name.
const protocolName = "tripline-lanes"

// metadata is what a member says of itself when it joins: the user data of the
// consumer protocol's subscription. Members ignore fields that they don't know.
type metadata struct {
	Address string `json:"address,omitempty"`
	Lanes   int32  `json:"lanes"`
	// Held says which lanes' state is on this member's disk and how far: the
	// changelog offsets of the lane's partitions, added up.
	Held map[int32]int64 `json:"held,omitempty"`
}

// candidate is a member of the group in the eyes of plan.
type candidate struct {
	id    string
	owned []int32         // lanes that it runs now
	held  map[int32]int64 // lanes whose state it has, and how far
}

// plan gives each lane from 0 to lanes-1 to one candidate. Each gets
// lanes/len(candidates) or one more. Within that a lane stays with its owner,
// else goes to the one whose state is furthest, else to the one with the
// fewest. The answer depends on nothing but the arguments, in whatever order.
func plan(candidates []candidate, lanes int32) map[string][]int32 {
	assigned := make(map[string][]int32, len(candidates))
	if len(candidates) == 0 {
		return assigned
	}
	order := slices.Clone(candidates)
	slices.SortFunc(order, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(len(b.owned), len(a.owned)), cmp.Compare(a.id, b.id))
	})
	least, extra := int(lanes)/len(order), int(lanes)%len(order)
	quota := make(map[string]int, len(order))
	for i, c := range order {
		quota[c.id] = least
		if i < extra {
			quota[c.id]++
		}
	}
	free := make(map[int32]bool, lanes)
	for n := range lanes {
		free[n] = true
	}
	for _, c := range order {
		for _, n := range keep(c, order, quota) {
			if free[n] {
				free[n] = false
				assigned[c.id] = append(assigned[c.id], n)
			}
		}
	}
	for _, n := range slices.Sorted(maps.Keys(free)) {
		if !free[n] {
			continue
		}
		to := slices.MinFunc(order, func(a, b candidate) int {
			fullA, fullB := len(assigned[a.id]) >= quota[a.id], len(assigned[b.id]) >= quota[b.id]
			if fullA != fullB {
				if fullA {
					return 1
				}
				return -1
			}
			return cmp.Or(cmp.Compare(b.held[n], a.held[n]),
				cmp.Compare(len(assigned[a.id]), len(assigned[b.id])), cmp.Compare(a.id, b.id))
		})
		assigned[to.id] = append(assigned[to.id], n)
	}
	for id := range assigned {
		slices.Sort(assigned[id])
	}
	return assigned
}

// keep chooses which of its lanes a candidate keeps: all within its quota. What
// is over goes where state of it waits: to a candidate below its own quota.
func keep(c candidate, all []candidate, quota map[string]int) []int32 {
	wanted := func(n int32) (most int64) {
		for _, other := range all {
			if other.id != c.id && len(other.owned) < quota[other.id] {
				most = max(most, other.held[n])
			}
		}
		return most
	}
	kept := slices.Clone(c.owned)
	slices.SortFunc(kept, func(a, b int32) int {
		return cmp.Or(cmp.Compare(wanted(a), wanted(b)), cmp.Compare(a, b))
	})
	return kept[:min(len(kept), quota[c.id])]
}

// balancer is the group's kgo.GroupBalancer. It is cooperative: a lane that
// stays with its owner does not notice a rebalance, and one that moves is given
// to its new owner in the rebalance after the one in which the old owner gave
// it up.
type balancer struct {
	topics []string
	counts int32 // partitions of each topic
	lanes  int32
	self   func() metadata
	refuse func(error) // ends the process's part with an error
	log    *zap.Logger
}

func (*balancer) ProtocolName() string { return protocolName }
func (*balancer) IsCooperative() bool  { return true }

func (b *balancer) JoinGroupMetadata(topics []string, current map[string][]int32, generation int32) []byte {
	meta := kmsg.NewConsumerMemberMetadata()
	meta.Version = 3
	meta.Topics = topics
	meta.Generation = generation
	for _, topic := range slices.Sorted(maps.Keys(current)) {
		owned := kmsg.NewConsumerMemberMetadataOwnedPartition()
		owned.Topic, owned.Partitions = topic, current[topic]
		meta.OwnedPartitions = append(meta.OwnedPartitions, owned)
	}
	// Marshalling a struct of strings and numbers cannot fail, and the keys of
	// a map come in order.
	meta.UserData, _ = json.Marshal(b.self())
	return meta.AppendTo(nil)
}

func (*balancer) ParseSyncAssignment(assignment []byte) (map[string][]int32, error) {
	return kgo.ParseConsumerSyncAssignment(assignment)
}

func (b *balancer) MemberBalancer(members []kmsg.JoinGroupResponseMember) (kgo.GroupMemberBalancer, map[string]struct{}, error) {
	balancer, err := kgo.NewConsumerBalancer(b, members)
	return balancer, balancer.MemberTopics(), err
}

// Balance is called on the group's leader. A member that counts lanes in
// another way gets none: the partitions of its lanes would be in two lanes.
func (b *balancer) Balance(members *kgo.ConsumerBalancer, counts map[string]int32) kgo.IntoSyncAssignment {
	if err := b.grown(counts); err != nil {
		b.refuse(err)
		members.SetError(err)
		return nil
	}
	balanced := members.NewPlan()
	byID := balanced.AsMemberIDMap()
	for id, lanes := range plan(b.candidates(members), b.lanes) {
		partitions := partitionsOf(lanes, b.lanes, b.counts)
		for _, topic := range b.topics {
			byID[id][topic] = slices.Clone(partitions)
		}
	}
	balanced.AdjustCooperative(members)
	return balanced
}

// grown refuses topics that got more partitions: users would be in others than
// their state.
func (b *balancer) grown(counts map[string]int32) error {
	refusal := &TopicsError{Counts: make(map[string]int), Recorded: int(b.counts)}
	changed := false
	for _, topic := range b.topics {
		refusal.Counts[topic] = int(counts[topic])
		changed = changed || counts[topic] > b.counts
	}
	if changed {
		return refusal
	}
	return nil
}

// candidates reads the members' metadata.
func (b *balancer) candidates(members *kgo.ConsumerBalancer) (candidates []candidate) {
	newest := make(map[int32]int32) // lane: generation of its latest claim
	claims := func(meta *kmsg.ConsumerMemberMetadata) map[int32]bool {
		owned := make(map[int32]bool)
		for _, topic := range meta.OwnedPartitions {
			for _, partition := range topic.Partitions {
				owned[partition%b.lanes] = true
			}
		}
		return owned
	}
	members.EachMember(func(_ *kmsg.JoinGroupResponseMember, meta *kmsg.ConsumerMemberMetadata) {
		for n := range claims(meta) {
			newest[n] = max(newest[n], meta.Generation)
		}
	})
	members.EachMember(func(member *kmsg.JoinGroupResponseMember, meta *kmsg.ConsumerMemberMetadata) {
		var said metadata
		if err := json.Unmarshal(meta.UserData, &said); err != nil || said.Lanes != b.lanes {
			b.log.Warn("member gets no lanes: it counts them in another way",
				zap.String("member", member.MemberID), zap.Int32("its", said.Lanes), zap.Int32("ours", b.lanes), zap.Error(err))
			return
		}
		c := candidate{id: member.MemberID, held: said.Held}
		for n := range claims(meta) {
			if meta.Generation >= newest[n] {
				c.owned = append(c.owned, n)
			}
		}
		candidates = append(candidates, c)
	})
	return candidates
}

// partitionsOf lists the partition numbers of lanes, in order.
func partitionsOf(lanes []int32, of, partitions int32) (numbers []int32) {
	for p := range partitions {
		if slices.Contains(lanes, p%of) {
			numbers = append(numbers, p)
		}
	}
	return numbers
}

// Owner is a member of a group as its coordinator knows it.
type Owner struct {
	Instance   string // static membership id
	Host       string // as the broker sees it
	Address    string // Config.Address of that process
	Lanes      []int32
	Partitions []int32
}

// Owners asks the coordinator which process has which lanes of a group, in
// order of instance. A group without members has no owners.
func Owners(ctx context.Context, client *kgo.Client, group string) ([]Owner, error) {
	described, err := kadm.NewClient(client).DescribeGroups(ctx, group)
	if err != nil {
		return nil, fmt.Errorf("describe group %s: %w", group, err)
	}
	if err := described[group].Err; err != nil {
		return nil, fmt.Errorf("describe group %s: %w", group, err)
	}
	var owners []Owner
	for _, member := range described[group].Members {
		owner := Owner{Host: member.ClientHost}
		if member.InstanceID != nil {
			owner.Instance = *member.InstanceID
		}
		joined, _ := member.Join.AsConsumer()
		assigned, _ := member.Assigned.AsConsumer()
		var said metadata
		if joined == nil || json.Unmarshal(joined.UserData, &said) != nil || said.Lanes <= 0 {
			continue // of another kind: it has no lanes
		}
		owner.Address = said.Address
		if assigned != nil && len(assigned.Topics) > 0 {
			owner.Partitions = slices.Sorted(slices.Values(assigned.Topics[0].Partitions))
		}
		for _, partition := range owner.Partitions {
			if n := partition % said.Lanes; !slices.Contains(owner.Lanes, n) {
				owner.Lanes = append(owner.Lanes, n)
			}
		}
		slices.Sort(owner.Lanes)
		owners = append(owners, owner)
	}
	slices.SortFunc(owners, func(a, b Owner) int { return cmp.Compare(a.Instance, b.Instance) })
	return owners, nil
}
