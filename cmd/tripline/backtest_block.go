package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/processor/campaign/value"
)

// What an input is.
const (
	anEvent    uint8 = iota // an event
	aProfile                // a profile record: its properties are the event's Profile
	aTombstone              // a tombstone
)

// input is one record of a stretch.
type input struct {
	kind     uint8
	timeless bool // an event without a time of its own: it has that of its arrival
	number   int  // of its line in the block, from 0; in another stretch than a file's, of the record
	arrival  int64
	bucket   uint16
	event    record.Event
}

// block is a part of a stretch on its way: read, decoded, applied by the shards, its emissions written. Blocks are used again.
type block struct {
	raw     []byte
	inputs  []input
	bad     []badLine
	room    value.Properties // of the events
	lines   int
	last    int64 // the largest arrival in it
	shares  [][]int32
	decoded chan struct{} // closed once all above stands; nil: it does

	first     int   // number of its first line, in its stretch
	base, end int64 // the arrivals before it, and behind it
	emissions []*emissions
	applied   sync.WaitGroup // by the shards
	suspends  []bool         // by shard: a bucket of it has been suspended behind this block
}

// badLine is one that cannot be read.
type badLine struct {
	number int
	why    *record.Rejection
}

func newBlock(shards int) *block {
	b := &block{shares: make([][]int32, shards), emissions: make([]*emissions, shards), suspends: make([]bool, shards)}
	for i := range b.emissions {
		b.emissions[i] = &emissions{}
	}
	return b
}

// reset makes a block that has been used an empty one.
func (b *block) reset() {
	b.inputs, b.bad, b.room, b.lines, b.last, b.decoded = b.inputs[:0], b.bad[:0], b.room[:0], 0, 0, nil
	for i := range b.shares {
		b.shares[i], b.suspends[i] = b.shares[i][:0], false
		b.emissions[i].reset()
	}
}

// add puts an input at the end.
func (b *block) add(in input) {
	in.bucket = bucketOf(in.event.User)
	shard := int(in.bucket) % len(b.shares)
	b.shares[shard] = append(b.shares[shard], int32(len(b.inputs)))
	b.inputs = append(b.inputs, in)
}

// bucketOf hashes a user (FNV-1a).
func bucketOf(user string) uint16 {
	h := uint32(2166136261)
	for i := range len(user) {
		h = (h ^ uint32(user[i])) * 16777619
	}
	return uint16((h ^ h>>15) % buckets)
}

// roomFirst is for how many properties a block has room at first.
const roomFirst = 4 << 10

// decode reads the lines of a block.
func (b *block) decode(envelope record.Envelope) {
	text := string(b.raw)
	for ; text != ""; b.lines++ {
		line := text
		if i := strings.IndexByte(text, '\n'); i >= 0 {
			line, text = text[:i], text[i+1:]
		} else {
			text = ""
		}
		if line = strings.TrimRight(line, "\r "); line == "" {
			continue
		}
		if cap(b.room)-len(b.room) < 64 { // the former room goes with its events
			b.room = make(value.Properties, 0, max(roomFirst, 2*cap(b.room)))
		}
		var bad *record.Rejection
		in := input{number: b.lines}
		if in.event, b.room, bad = envelope.Line(line, calendar.MaxTime, b.room); bad != nil {
			b.bad = append(b.bad, badLine{b.lines, bad})
			continue
		}
		if in.event.Time == calendar.MaxTime { // of its own, or for want of one
			other, _, _ := envelope.Line(line, 0, nil)
			in.timeless = other.Time == 0
		}
		if !in.timeless {
			b.last = max(b.last, in.event.Time)
		}
		in.arrival = b.last
		b.add(in)
	}
}

// readBlocks has a stretch apply the lines of a file, which are decoded side by side.
func readBlocks(st *stretch, in io.Reader, envelope record.Envelope) error {
	read, ordered := make(chan *block, st.ahead), make(chan *block, st.ahead) // there is room for all blocks
	var failed error                                                          // once ordered is closed
	go func() {                                                               // a read that waits for a terminal or a pipe cannot be ended: nobody waits for it
		defer close(ordered)
		defer close(read)
		var rest []byte
		for failed == nil {
			var b *block
			select {
			case b = <-st.free:
			case <-st.ctx.Done():
				return
			}
			b.reset()
			b.raw, rest, failed = readLines(in, st.r.block, append(b.raw[:0], rest...), rest[:0])
			st.r.shown.read(len(b.raw))
			b.decoded = make(chan struct{})
			read <- b
			ordered <- b
		}
	}()
	for range runtime.GOMAXPROCS(0) {
		go func() { // ends with read
			for b := range read {
				b.decode(envelope)
				close(b.decoded)
			}
		}()
	}
	for {
		select {
		case b, more := <-ordered:
			if !more && failed == io.EOF {
				return nil
			}
			if !more {
				return errors.Join(failed, st.why())
			}
			<-b.decoded
			if err := st.apply(b); err != nil {
				return err
			}
		case <-st.ctx.Done():
			return fmt.Errorf("%w behind line %d", st.why(), st.lines)
		}
	}
}

// readLines adds to the beginning of a block until it has about so many bytes, in whole lines; what is left goes to rest. It answers
// io.EOF with the last lines.
func readLines(in io.Reader, size int, text, rest []byte) ([]byte, []byte, error) {
	for {
		text = slices.Grow(text, max(1, size-len(text)))
		n, err := in.Read(text[len(text):cap(text)])
		text = text[:len(text)+n]
		if err != nil {
			return text, rest, err
		}
		if i := bytes.LastIndexByte(text, '\n'); i >= 0 && len(text) >= size {
			return text[:i+1], append(rest, text[i+1:]...), nil
		}
	}
}
