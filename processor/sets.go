package processor

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/state"
)

// own is a set of campaigns of this process's files.
type own struct {
	*campaign.Set
	text    []byte
	earlier []string // versions of those before it
}

// SetID is the ID of the rows that tell which set of campaigns a partition is decided by. No user has it: it is no UTF-8.
const SetID = "\xffcampaigns"

// Parts of that ID: the first is a format and a recorded as JSON, the others that set's text, and how far users have been rebuilt.
const (
	recordedPart = iota
	textPart
	walkPart
)

// leftTime is how long a set that has users rebuilt waits for timers that were due.
const leftTime = 20 * time.Second

// recordedFormat is the format of these rows.
const recordedFormat = 1

// recorded is the set in force of a partition.
type recorded struct {
	Version string          `json:"version"`
	Ledger  campaign.Ledger `json:"ledger"`
}

// Recorded is what these rows tell.
type Recorded struct {
	Version string          `json:"version"`
	Ledger  campaign.Ledger `json:"ledger"`
	Walk    walk            `json:"walk"`
	Text    string          `json:"text"`
}

// ReadSet reads the set of campaigns that a partition is decided by; nil: there is none yet.
func ReadSet(part *state.Partition) (*Recorded, error) {
	var r recorded
	out := &Recorded{}
	found, err := decode(part, recordedPart, &r)
	if err != nil || !found {
		return nil, err
	}
	_, err2 := decode(part, walkPart, &out.Walk)
	text, _, err3 := part.Get(state.Key{ID: SetID, Part: textPart})
	out.Version, out.Ledger, out.Text = r.Version, r.Ledger, string(text)
	return out, errors.Join(err2, err3)
}

// LaneSet is what is in force in a lane that runs here.
type LaneSet struct {
	Version    string
	Differs    bool   // from this process's own files
	Rebuilding bool   // users are still being rebuilt
	Waits      string // what of the schema registry is waited for; "": nothing
}

// Sets tells what is in force in the lanes that run here, by lane.
func (p *Processor) Sets() map[int32]LaneSet {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make(map[int32]LaneSet, len(p.force))
	for lane, set := range p.force {
		set.Differs = set.Version != p.own.Load().Version()
		all[lane] = set
	}
	return all
}

// tell notes what is in force in a lane; nil: it does not run here any more.
func (p *Processor) tell(lane int32, set *LaneSet) {
	p.mu.Lock()
	if set == nil {
		delete(p.force, lane)
	} else {
		p.force[lane] = *set
	}
	p.mu.Unlock()
	p.metrics.sets(p.Sets(), p.Version())
}

// known is the own set that this process had when it took a lane over: the recorded one goes on until that changes. A lane that is
// taken anew after trouble was not taken over.
func (p *Processor) known(lane int32) *own {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken[lane] == nil {
		p.taken[lane] = p.own.Load()
	}
	return p.taken[lane]
}

func (p *Processor) note(lane int32, set *own) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if set == nil {
		delete(p.taken, lane)
	} else {
		p.taken[lane] = set
	}
}

func decode(part *state.Partition, number uint32, into any) (found bool, err error) {
	content, found, err := part.Get(state.Key{ID: SetID, Part: number})
	if err != nil || !found {
		return false, err
	}
	if len(content) == 0 || content[0] != recordedFormat {
		return false, fmt.Errorf("the recorded campaigns of partition %d are in a format that this version does not know; run the version of Tripline that wrote them", part.Number())
	}
	return true, json.Unmarshal(content[1:], into)
}

func encode(number uint32, from any) (state.Row, error) {
	text, err := json.Marshal(from)
	return state.Row{Key: state.Key{ID: SetID, Part: number}, Content: append([]byte{recordedFormat}, text...)}, err
}

// recall finds what was in force when the lane was last committed. That goes on, unless this process's own files have changed since: while
// it had the lane, or, as far as it knows what they were before, since they were what is recorded.
func (c *cycle) recall() error {
	var last recorded
	for _, in := range c.inputs {
		var r recorded
		found, err := decode(in.part.State, recordedPart, &r)
		if err == nil {
			_, err = decode(in.part.State, walkPart, &in.walk)
		}
		if err != nil {
			return err
		}
		if !found {
			return nil // the first set is yet to be taken up
		}
		in.ledger, last = &r.Ledger, r
	}
	mine := c.p.known(c.lane.Number())
	if own := c.p.own.Load(); last.Version == own.Version() {
		mine = own // taken up by a cycle of which it was not known that it is committed
	}
	if last.Version == mine.Version() {
		c.use(mine.Set, mine)
		return nil
	}
	text, _, err := c.inputs[0].part.State.Get(state.Key{ID: SetID, Part: textPart})
	if err != nil {
		return err
	}
	set, err := c.p.cfg.Compile(text)
	switch {
	case err == nil && set.Version() == mine.Version():
		return nil // another version of Tripline gave the same campaigns another version
	case err == nil && set.Version() != last.Version:
		err = fmt.Errorf("they are version %s here, and were %s", set.Version(), last.Version)
	}
	if err != nil {
		c.p.cfg.Log.Error("the recorded campaigns cannot be read by this version; those of this process are put in force", zap.Int32("lane", c.lane.Number()), zap.Error(err))
		return nil
	}
	if slices.Contains(c.p.own.Load().earlier, last.Version) {
		mine = nil // the files were those, and are others now
	} else {
		c.p.cfg.Log.Warn("the recorded campaigns, which are not those of this process's files, go on; a reload puts the files in force",
			zap.Int32("lane", c.lane.Number()), zap.String("campaigns_version", last.Version), zap.String("own_version", c.p.Version()))
	}
	c.use(set, mine)
	return nil
}

// use puts a set in force, by the ledgers of the inputs. mine is the own set after which another one is to be followed.
func (c *cycle) use(set *campaign.Set, mine *own) {
	c.set, c.own, c.out = set, mine, campaign.Output{}
	for _, in := range c.inputs {
		in.set = set.Under(in.ledger, in.walk.Rebuilt)
	}
	c.users = newUsers(c.p, c.inputs)
	c.p.has(c.inputs)
	c.p.tell(c.lane.Number(), c.told())
}

func (c *cycle) told() *LaneSet {
	return &LaneSet{Version: c.set.Version(), Rebuilding: c.rebuilding(), Waits: c.waiting}
}

// notYet says whether a set that has users rebuilt is to wait: until those are rebuilt that another one asked for, or else it would depend on
// when they are; and, not for long, until those timers have fired that were due. Stream time may have passed a timer with the very cycle
// that set it.
func (c *cycle) notYet() (bool, error) {
	if c.set == nil || c.rebuilding() {
		return c.set != nil, nil
	}
	for _, in := range c.inputs {
		left, err := in.part.State.Due(in.stream, 1, nil)
		if err != nil {
			return false, err
		}
		if len(left) > 0 {
			if c.held.IsZero() {
				c.held = c.clock.now.machine
			}
			return c.clock.now.machine.Sub(c.held) < leftTime, nil
		}
	}
	return false, nil
}

// follow takes up another set of this process, between two cycles; its rows go with the first cycle that it decides.
func (c *cycle) follow() error {
	mine := c.p.own.Load()
	if mine == c.own {
		return nil
	}
	if c.set != nil && c.set.Version() == mine.Version() {
		c.own = mine
		c.p.note(c.lane.Number(), mine)
		return nil
	}
	ledgers := make([]*campaign.Ledger, len(c.inputs))
	for i, in := range c.inputs {
		ledgers[i] = mine.Succeed(in.ledger, in.stream)
		if ledgers[i].Number > 0 && ledgers[i].Rebuilt() == ledgers[i].Number {
			if wait, err := c.notYet(); wait || err != nil {
				return err
			}
		}
	}
	c.held = time.Time{}
	for i, in := range c.inputs {
		in.ledger = ledgers[i]
	}
	c.use(mine.Set, mine)
	for _, in := range c.inputs {
		row, err := encode(recordedPart, recorded{Version: mine.Version(), Ledger: *in.ledger})
		if err != nil {
			return err
		}
		in.change(row)
		in.change(state.Row{Key: state.Key{ID: SetID, Part: textPart}, Content: append([]byte{}, mine.text...)})
	}
	c.fresh = true
	return nil
}

// inForce tells that the cycle which began with a new set is committed.
func (c *cycle) inForce() {
	c.fresh = false
	c.p.note(c.lane.Number(), c.own)
	l := c.inputs[0].ledger
	c.p.cfg.Log.Info("campaigns are in force", zap.Int32("lane", c.lane.Number()), zap.String("campaigns_version", c.set.Version()),
		zap.Uint64("number", l.Number), zap.Bool("rebuild", c.rebuilding()))
}
