package processor

import (
	"time"

	"go.uber.org/zap"
)

// walk is how far a partition's users have been rebuilt. It is a row; the walk goes on there after a crash.
type walk struct {
	Rebuilt uint64 `json:"rebuilt"`          // the last set for which all users are rebuilt
	Number  uint64 `json:"number,omitempty"` // the set for which they are being rebuilt
	After   string `json:"after,omitempty"`  // the user up to whom they are

	began         time.Time // by this process; zero: it has not
	seen, rebuilt int
}

const (
	// What of a cycle the walk takes at most.
	walkTime    = 20 * time.Millisecond
	walkStrides = 4
	walkUsers   = 256 // that one stride looks at
)

// rebuilding says whether users are still to be rebuilt.
func (c *cycle) rebuilding() bool {
	for _, in := range c.inputs {
		if in.walks() {
			return true
		}
	}
	return false
}

func (in *input) walks() bool { return in.ledger != nil && in.ledger.Rebuilt() > in.walk.Rebuilt }

// rebuild opens users, a few in each cycle, who would not be for want of events, so that what is due under another trigger now is known.
// Nobody's timers of the former one fire meanwhile: whoever is opened is rebuilt first.
func (c *cycle) rebuild() error {
	until, bytes, strides, most := time.Now().Add(walkTime), c.bytes+c.most/2, 0, walkStrides
	if c.count > 0 {
		most = 1 // records are not to wait for it
	}
	for _, in := range c.inputs {
		for ; in.walks(); strides++ {
			if strides == most || c.bytes >= bytes || time.Now().After(until) {
				c.more = true
				return nil
			}
			if err := c.stride(in); err != nil {
				return err
			}
		}
	}
	return nil
}

// stride looks at some users of a partition.
func (c *cycle) stride(in *input) error {
	w := &in.walk
	if number := in.ledger.Rebuilt(); w.Number != number {
		*w = walk{Rebuilt: w.Rebuilt, Number: number}
	}
	if w.began.IsZero() { // rows of before are to be where the walk goes; later ones are up to date
		w.began = time.Now()
		if err := in.part.State.Flush(); err != nil {
			return err
		}
	}
	n := 0
	var behind []string
	err := in.part.State.Heads(w.After, func(id string, head []byte) (wanted, more bool) {
		w.After = id
		if wanted = id != SetID && in.users[id] == nil && in.set.Behind(head); wanted {
			behind = append(behind, id)
		}
		n++
		return wanted, n < walkUsers
	})
	if err != nil {
		return err
	}
	for _, id := range behind {
		u, err := c.open(in, id)
		if err != nil {
			return err
		}
		if c.users.fault != nil {
			return c.users.fault
		}
		if u.state.Changed() {
			w.rebuilt++
		}
	}
	w.seen += n
	if n < walkUsers {
		c.p.cfg.Log.Info("users are rebuilt", zap.Int32("partition", in.part.Number), zap.Uint64("number", w.Number), zap.Int("users", w.seen),
			zap.Int("changed", w.rebuilt), zap.Duration("took", time.Since(w.began)))
		*w = walk{Rebuilt: w.Number}
		c.p.tell(c.lane.Number(), c.told())
	}
	c.p.metrics.rebuilt.Add(float64(n))
	row, err := encode(walkPart, w)
	in.change(row)
	return err
}
