package main

import (
	"crypto/sha256"
	"math/bits"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/sink/delivery"
	"github.com/tripline/tripline/sink/outbox"
	"github.com/tripline/tripline/state"
)

// ledger is what is known of the triggers of one partition, or of all where partitions do not match: 50 to 100 bytes of each that
// a replay could concern.
type ledger struct {
	asked     *asked
	standings map[mark]standing
	waiting   map[mark]uint64 // a bit for each number, up to 63, of which the sink's state has a row: it waits
	unread    map[int32]int64 // by partition: offset in triggers behind which the sink has read nothing
	noSink    bool            // there is no such state: what records say must do, and a sink that starts reads triggers from their begin
	tombs     map[mark]int64  // by user: offset in triggers of the newest tombstone
}

// mark stands for an id, or a user, in a fixed size.
type mark [16]byte

func markOf(id string) mark {
	sum := sha256.Sum256([]byte(id))
	return mark(sum[:16])
}

// standing is where a trigger stands.
type standing struct {
	time   int64 // ms: of its newest final record; without one when it was emitted
	replay int32 // the highest number seen
	ended  int32 // the highest with a final record
	trying int32 // 1 + the replay whose newest record is a retry; 0: none
	end    end
	unread bool // the sink has not come to it, or to its newest replay
}

// end is how a trigger ended.
type end uint8

const (
	endNone end = iota // it is missing, or it waits
	endDelivered
	endFailed
	endDropped
	endErased
)

var ends = map[string]end{delivered: endDelivered, failed: endFailed, dropped: endDropped}

func (e end) String() string {
	return [...]string{"", delivered, failed, dropped, dropped}[e]
}

// Why a trigger is not replayed though it was asked for, beside delivered.
const (
	waiting = "waiting"
	erased  = "erased"
)

func newLedger(a *asked) *ledger {
	return &ledger{asked: a, standings: map[mark]standing{}, waiting: map[mark]uint64{}, unread: map[int32]int64{}, tombs: map[mark]int64{}}
}

// row takes a record of the sink's changelog.
func (l *ledger) row(r *kgo.Record, triggers string) error {
	if k, err := state.ChangelogKey(r.Key); err == nil && k.ID == "" {
		position, err := state.DecodePosition(r.Value)
		if at, ok := position.Inputs[triggers]; ok {
			l.unread[r.Partition] = at
		}
		return err
	}
	key, err := outbox.Waits(r.Key)
	if err != nil || key == "" {
		return err
	}
	id, number := outbox.Split(key)
	of, bit := markOf(id), uint64(1)<<min(number, 63)
	if len(r.Value) > 0 {
		l.waiting[of] |= bit
	} else if l.waiting[of] &^= bit; l.waiting[of] == 0 {
		delete(l.waiting, of)
	}
	return nil
}

// delivery takes a record of deliveries, in order.
func (l *ledger) delivery(d *delivery.Record) {
	of, ours := ends[d.Outcome]
	if d.Final() && !ours || !l.asked.concerns(d.TriggerID, d.Campaign, d.Endpoint) {
		return
	}
	key := markOf(d.TriggerID)
	s, known := l.standings[key]
	s.replay = max(s.replay, int32(d.Replay))
	if !d.Final() {
		s.trying = int32(d.Replay) + 1
		if !known {
			s.time = d.Time
		}
		l.standings[key] = s
		return
	}
	if s.trying == int32(d.Replay)+1 {
		s.trying = 0
	}
	s.time, s.ended = d.Time, max(s.ended, int32(d.Replay))
	if s.end = of; of == endDropped && d.Reason == erased {
		s.end = endErased
	}
	l.standings[key] = s
}

// trigger takes a record of triggers, in order.
func (l *ledger) trigger(r *kgo.Record) {
	if len(r.Value) == 0 {
		l.tombs[markOf(string(r.Key))] = r.Offset
		return
	}
	id := idOf(r)
	if id == "" {
		return
	}
	key := markOf(id)
	s, known := l.standings[key]
	if !known {
		if l.asked.outcome.word != "" || !l.concerned(r, id) {
			return
		}
		if s.time = r.Timestamp.UnixMilli(); !l.asked.within(s.time) {
			return
		}
	}
	s.replay = max(s.replay, replayOf(r))
	at, read := l.unread[r.Partition]
	s.unread = !l.noSink && (!read || r.Offset >= at)
	l.standings[key] = s
}

// concerned reports whether a trigger without a delivery record is one of those asked for.
func (l *ledger) concerned(r *kgo.Record, id string) bool {
	campaign, endpoint := header(r, "tripline-campaign"), ""
	if l.asked.campaign != "" && campaign == "" || l.asked.endpoint != "" {
		t, err := record.ParseTrigger(r.Value)
		if err != nil {
			return false
		}
		campaign, endpoint = t.Campaign, t.Endpoint
	}
	return l.asked.concerns(id, campaign, endpoint)
}

func (a *asked) concerns(trigger, campaign, endpoint string) bool {
	return (a.trigger == "" || a.trigger == trigger) && (a.campaign == "" || a.campaign == campaign) && (a.endpoint == "" || a.endpoint == endpoint)
}

func (a *asked) within(ms int64) bool {
	return (a.since == 0 || ms >= a.since) && (a.until == 0 || ms <= a.until)
}

// wants says what is to be replayed, and how many others were asked for, by why they are not. It empties the standings.
func (l *ledger) wants() (want map[mark]standing, skipped map[string]int) {
	want, skipped = map[mark]standing{}, map[string]int{}
	for key, s := range l.standings {
		switch why, wanted := l.judge(key, &s); {
		case !wanted:
		case why != "":
			skipped[why]++
		default:
			s.replay = max(s.replay, int32(bits.Len64(l.waiting[key]))-1)
			want[key] = s
		}
	}
	l.standings = nil
	return want, skipped
}

// judge says whether a trigger is one of those asked for, and why it is not replayed nonetheless; "": it is.
func (l *ledger) judge(key mark, s *standing) (why string, wanted bool) {
	a := l.asked
	switch {
	case a.missing && s.end != endNone,
		a.outcome.word != "" && s.end.String() != a.outcome.word,
		!a.within(s.time):
		return "", false
	case s.end == endErased:
		return erased, true
	case a.force:
		return "", true
	case s.end == endDelivered:
		return delivered, true
	case s.unread, l.waiting[key] != 0, l.noSink && (s.end == endNone || s.trying > 0 || s.replay > s.ended):
		return waiting, true
	}
	return "", true
}

// erased reports whether a user was erased behind an offset of triggers.
func (l *ledger) erased(user string, offset int64) bool {
	at, is := l.tombs[markOf(user)]
	return is && at > offset
}
