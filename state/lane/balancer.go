package lane

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"

	"github.com/tripline/tripline/state/lane/assign"
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
	// Follows are the lanes of which it keeps a warm copy now.
	Follows []int32 `json:"follows,omitempty"`
	// Standbys is how many copies of each lane its configuration asks for.
	Standbys int `json:"standbys,omitempty"`
	// Asked is how often it has asked for another plan: a coordinator tells a
	// member that says the same as before only what it has.
	Asked int `json:"asked,omitempty"`
}

// duty is what the plan tells a member beside its lanes: the user data of the
// consumer protocol's assignment.
type duty struct {
	Follows  []int32 `json:"follows,omitempty"` // lanes to keep a warm copy of
	Standbys int     `json:"standbys,omitempty"`
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
	told   func(duty)  // what this member has to do beside its lanes
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

func (b *balancer) ParseSyncAssignment(assignment []byte) (map[string][]int32, error) {
	var told duty
	var meta kmsg.ConsumerMemberAssignment
	if meta.ReadFrom(assignment) == nil && len(meta.UserData) > 0 {
		if err := json.Unmarshal(meta.UserData, &told); err != nil {
			b.log.Warn("no warm copies are kept: the plan's part on them cannot be read", zap.Error(err))
		}
	}
	b.told(told)
	return kgo.ParseConsumerSyncAssignment(assignment)
}

// duties adds to a plan what its members have to do beside their lanes.
type duties struct {
	plan *kgo.BalancePlan
	of   map[string]duty
}

// IntoSyncAssignment is what the coordinator hands to the members.
func (d duties) IntoSyncAssignment() []kmsg.SyncGroupRequestGroupAssignment {
	all := d.plan.IntoSyncAssignment()
	for i := range all {
		var meta kmsg.ConsumerMemberAssignment
		if meta.ReadFrom(all[i].MemberAssignment) != nil {
			continue // cannot be: it was made here
		}
		meta.UserData, _ = json.Marshal(d.of[all[i].MemberID])
		all[i].MemberAssignment = meta.AppendTo(nil)
	}
	return all
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
	told := duties{plan: balanced, of: make(map[string]duty)}
	known, standbys := b.members(members)
	for id, share := range assign.Plan(known, b.lanes, standbys) {
		partitions := partitionsOf(share.Lanes, b.lanes, b.counts)
		for _, topic := range b.topics {
			byID[id][topic] = slices.Clone(partitions)
		}
		told.of[id] = duty{Follows: share.Standbys, Standbys: standbys}
	}
	balanced.AdjustCooperative(members)
	return told
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

// members reads what the members say, and how many copies of each lane the one
// that wants most asks for.
func (b *balancer) members(members *kgo.ConsumerBalancer) (known []assign.Member, standbys int) {
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
		m := assign.Member{ID: member.MemberID, Held: said.Held, Follows: said.Follows}
		for n := range claims(meta) {
			if meta.Generation >= newest[n] {
				m.Owned = append(m.Owned, n)
			}
		}
		known = append(known, m)
		standbys = max(standbys, said.Standbys)
	})
	return known, standbys
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
	if err := described[group].Err; errors.Is(err, kerr.GroupIDNotFound) {
		return nil, nil // nobody has ever been in it, as brokers say since 4.0
	} else if err != nil {
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
