package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"

	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/processor/campaign/value"
)

// What an input is. The values are not kept beyond a run.
const (
	anEvent     uint8 = iota
	anEventThen       // an event without a time of its own: it has that of its arrival
	aProfile          // a profile record: its properties are the event's Profile
	aTombstone
)

// input is one record of a stretch.
type input struct {
	kind    uint8
	number  int // of its line or record, from 0: in the block, later in the stretch
	arrival int64
	event   record.Event
}

// block is a part of a stretch on its way from its bytes to the buckets of its users. Blocks are used again.
type block struct {
	raw     []byte
	room    value.Properties
	placed  []placed
	encoded []byte // the inputs
	bad     []badLine
	lines   int
	events  int
	last    int64         // the largest arrival in it
	decoded chan struct{} // closed once all above stands
}

// placed says where an input stands in a block's encoded ones, up to the next one, and in whose bucket it belongs.
type placed struct {
	bucket, number, at int
	arrival            int64
}

// badLine is one that cannot be read.
type badLine struct {
	number int
	why    *record.Rejection
}

// reset makes a block that has been used an empty one.
func (b *block) reset() {
	b.placed, b.encoded, b.bad, b.lines, b.events, b.last = b.placed[:0], b.encoded[:0], b.bad[:0], 0, 0, 0
}

// add puts an input at the end. Nothing of it is kept.
func (b *block) add(in *input) {
	b.placed = append(b.placed, placed{bucket: bucketOf(in.event.User), number: in.number, at: len(b.encoded), arrival: in.arrival})
	b.encoded = in.append(b.encoded)
	if in.kind <= anEventThen {
		b.events++
	}
}

// buckets is into how many parts the users of a stretch are divided.
const buckets = 256

// bucketOf hashes a user (FNV-1a).
func bucketOf(user string) int {
	h := uint32(2166136261)
	for i := range len(user) {
		h = (h ^ uint32(user[i])) * 16777619
	}
	return int((h ^ h>>15) % buckets)
}

// append encodes an input but for its arrival and number.
func (in *input) append(dst []byte) []byte {
	dst = append(dst, in.kind)
	if in.kind == anEvent {
		dst = binary.AppendVarint(dst, in.event.Time)
	}
	dst = appendField(appendField(appendField(dst, in.event.User), in.event.ID), in.event.Name)
	return in.event.Profile.AppendBinary(in.event.Properties.AppendBinary(dst))
}

// read takes apart what append wrote behind an arrival and a number. Its strings point into the entry, its properties stand in room.
func (in *input) read(entry string, room value.Properties) bool {
	f := fields{src: entry}
	in.arrival, in.number, in.kind = f.varint(), int(f.uvarint()), f.byte()
	e := record.Event{Time: in.arrival}
	if in.kind == anEvent {
		e.Time = f.varint()
	}
	e.User, e.ID, e.Name = f.text(), f.text(), f.text()
	e.Properties, room = f.properties(room)
	e.Profile, _ = f.properties(room)
	in.event = e
	return !f.bad
}

// decode reads the lines of a block.
func (b *block) decode(envelope record.Envelope) {
	if b.room == nil {
		b.room = make(value.Properties, 0, 256)
	}
	for text := string(b.raw); text != ""; b.lines++ {
		line := text
		if i := strings.IndexByte(text, '\n'); i >= 0 {
			line, text = text[:i], text[i+1:]
		} else {
			text = ""
		}
		line = strings.TrimPrefix(line, "\ufeff") // with which some programs begin a file, and files are put together
		if line = strings.TrimRight(line, "\r "); line == "" {
			continue
		}
		e, _, bad := envelope.Line(line, calendar.MaxTime, b.room)
		if bad != nil {
			b.bad = append(b.bad, badLine{b.lines, bad})
			continue
		}
		in := input{number: b.lines, event: e}
		if e.Time == calendar.MaxTime { // its own, or for want of one
			if other, _, _ := envelope.Line(line, 0, nil); other.Time == 0 {
				in.kind = anEventThen
			}
		}
		if in.kind == anEvent {
			b.last = max(b.last, e.Time)
		}
		in.arrival = b.last
		b.add(&in)
	}
}

// readBlocks has a stretch take the lines of a file, which are decoded side by side.
func readBlocks(st *stretch, in io.Reader, envelope record.Envelope) error {
	const ahead = 6
	free, read, ordered := make(chan *block, ahead), make(chan *block, ahead), make(chan *block, ahead)
	for range ahead {
		free <- &block{}
	}
	var failed error // once ordered is closed
	go func() {      // a read that waits for a terminal or a pipe cannot be ended: nobody waits for it
		defer close(ordered)
		defer close(read)
		var rest []byte
		for failed == nil {
			var b *block
			select {
			case b = <-free:
			case <-st.ctx.Done():
				return
			}
			b.reset()
			b.raw, rest, failed = readLines(in, st.r.block, append(b.raw[:0], rest...), rest[:0])
			st.size = st.r.shown.read(len(b.raw))
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
				return errors.Join(failed, st.ctx.Err())
			}
			<-b.decoded
			if err := st.take(b); err != nil {
				return err
			}
			free <- b
		case <-st.ctx.Done():
			return fmt.Errorf("interrupted behind line %d", st.lines)
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
