package lane

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
)

// memberClient joins the group. The client subscribes to the input topics so that
// tools see who has what, and fetches nothing of them.
func (g *Group) memberClient(ctx context.Context) (*kgo.Client, error) {
	client, err := g.cfg.client(
		kgo.WithContext(ctx),
		kgo.ConsumerGroup(g.cfg.Group),
		kgo.ConsumeTopics(g.cfg.Topics...),
		kgo.Balancers(&balancer{topics: g.cfg.Topics, counts: g.layout.partitions, lanes: g.layout.lanes,
			self: g.self, told: g.told, refuse: g.fail, log: g.log}),
		kgo.InstanceID(g.instance),
		kgo.SessionTimeout(g.cfg.SessionTimeout),
		kgo.HeartbeatInterval(min(3*time.Second, g.cfg.SessionTimeout/3)),
		kgo.RebalanceTimeout(g.cfg.StopTimeout+joinMargin),
		kgo.RequestTimeoutOverhead(memberOverhead),
		kgo.DisableAutoCommit(),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, got map[string][]int32) { g.assigned(got) }),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, gone map[string][]int32) { g.revoked(gone) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, gone map[string][]int32) { g.lost(gone) }),
	)
	if err == nil {
		client.PauseFetchTopics(g.cfg.Topics...)
	}
	return client, err
}

// self is what this member says when it joins. What it holds is a hint: state
// that cannot be read is not held.
func (g *Group) self() metadata {
	said := metadata{Address: g.cfg.Address, Lanes: g.layout.lanes, Held: make(map[int32]int64), Standbys: g.cfg.Standbys}
	g.mu.Lock()
	said.Asked = g.asked
	for n := range g.copies {
		said.Follows = append(said.Follows, n)
	}
	g.mu.Unlock()
	slices.Sort(said.Follows)
	numbers, err := g.cfg.Store.Partitions()
	if err != nil {
		g.log.Warn("what is held is not known", zap.Error(err))
	}
	for _, number := range numbers {
		if p, err := g.cfg.Store.Partition(number); err == nil && p.Position().TopicID == g.layout.changelogID {
			said.Held[number%g.layout.lanes] += p.Position().Changelog
		}
	}
	return said
}

// watch waits for what the group's client has to say until ctx ends.
func (g *Group) watch(ctx context.Context) {
	for ctx.Err() == nil {
		for _, failed := range g.member.PollFetches(ctx).Errors() {
			if ctx.Err() != nil || errors.Is(failed.Err, kgo.ErrClientClosed) {
				return
			}
			switch err := failed.Err; {
			case errors.Is(err, kerr.FencedInstanceID):
				g.fail(fmt.Errorf("group %s: another process has this one's instance id: is its state folder a copy? "+
					"Each process needs a folder of its own: %w", g.cfg.Group, err))
			case errors.Is(err, kerr.InconsistentGroupProtocol):
				g.fail(fmt.Errorf("group %s: its other members are not of this version or kind of tripline; "+
					"stop them, or set another group: %w", g.cfg.Group, err))
			case errors.Is(err, kerr.InvalidSessionTimeout):
				g.fail(fmt.Errorf("group %s: session_timeout %s is outside the broker's group.min/max.session.timeout.ms: %w",
					g.cfg.Group, g.cfg.SessionTimeout, err))
			case errors.Is(err, kerr.GroupAuthorizationFailed), errors.Is(err, kerr.GroupMaxSizeReached):
				g.fail(fmt.Errorf("join group %s: %w", g.cfg.Group, err))
			default:
				g.log.Warn("membership in the group failed and is tried again", zap.Error(err))
			}
		}
	}
}

// confirmed waits until the coordinator says that this process is still a member,
// before a lane that lost its transactional id takes it back: it may have lost it
// to the lane's new owner, and the two would fence each other. It returns false
// when ctx ends.
func (g *Group) confirmed(ctx context.Context, log *zap.Logger) bool {
	for tries := 0; ctx.Err() == nil; tries++ {
		req := kmsg.NewPtrHeartbeatRequest()
		req.Group = g.cfg.Group
		req.MemberID, req.Generation = g.member.GroupMetadata()
		req.InstanceID = &g.instance
		within, cancel := context.WithTimeout(ctx, 5*time.Second)
		resp, err := req.RequestWith(within, g.member)
		cancel()
		if err == nil {
			err = kerr.ErrorForCode(resp.ErrorCode)
		}
		if err == nil || errors.Is(err, kerr.RebalanceInProgress) {
			return true
		}
		log.Info("lane waits for its membership", zap.Error(err))
		if !pause(ctx, backoff(tries+1)) {
			return false
		}
	}
	return false
}

// leave gives the member's place up, so that others need not wait for its
// session to end.
func (g *Group) leave(admin *kgo.Client) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_, err := kadm.NewClient(admin).LeaveGroup(ctx, kadm.LeaveGroup(g.cfg.Group).InstanceIDs(g.instance).Reason("on_stop: leave"))
	if err != nil {
		g.log.Warn("the group could not be left; it waits for the session to end", zap.Error(err))
	}
}

// offsets are the input positions that the group has still to be told.
type offsets struct {
	mu    sync.Mutex
	dirty map[string]map[int32]kgo.EpochOffset
}

// offsetsEvery is how often lag tools see the positions move.
const offsetsEvery = time.Second

func (o *offsets) note(changes []Change) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.dirty == nil {
		o.dirty = make(map[string]map[int32]kgo.EpochOffset)
	}
	for _, change := range changes {
		for topic, offset := range change.Position.Inputs {
			if o.dirty[topic] == nil {
				o.dirty[topic] = make(map[int32]kgo.EpochOffset)
			}
			o.dirty[topic][change.Partition] = kgo.EpochOffset{Epoch: -1, Offset: offset}
		}
	}
}

// commit tells the group the positions. It is for lag tools alone, so that what
// fails is counted and left at that.
func (o *offsets) commit(g *Group) {
	o.mu.Lock()
	dirty := o.dirty
	o.dirty = nil
	o.mu.Unlock()
	if len(dirty) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	outcome := "committed"
	g.member.CommitOffsetsSync(ctx, dirty, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		if err != nil {
			outcome = "failed"
			return
		}
		for _, topic := range resp.Topics {
			for _, p := range topic.Partitions {
				if p.ErrorCode != 0 {
					outcome = "failed"
				}
			}
		}
	})
	g.metrics.offsets.WithLabelValues(outcome).Inc()
}
