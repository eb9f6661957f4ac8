package main

import (
	"bufio"
	"context"
	"fmt"
	"io"

	"github.com/tripline/tripline/processor/campaign/record"
)

// row is a line of the input, read: an event and its arrival, or what is wrong with it.
type row struct {
	number  int
	event   record.Event
	arrival int64
	bad     *record.Rejection
}

// feed applies the lines in order and returns the last arrival. A line that cannot be read is counted as a dead letter. Lines are
// read ahead by a goroutine of its own, since that is a third of the work.
func feed(parent context.Context, to *rehearsal, in io.Reader, p *progress, envelope record.Envelope) (arrival int64, err error) {
	ctx, cancel := context.WithCancel(parent)
	batches, ended := make(chan []row, 4), make(chan error, 1)
	go func() {
		defer close(batches)
		ended <- readRows(ctx, in, p, envelope, batches)
	}()
	defer func() {
		cancel()
		p.done()
	}()
	for number := 0; ; {
		var batch []row
		var more bool
		select {
		case batch, more = <-batches:
		case <-ctx.Done(): // a reader that waits for a terminal or a pipe cannot be ended
		}
		if ctx.Err() != nil {
			return arrival, fmt.Errorf("interrupted behind line %d", number)
		}
		if !more {
			return arrival, <-ended
		}
		for i := range batch {
			r := &batch[i]
			number = r.number
			if r.bad != nil {
				to.sums.unreadable(fmt.Sprintf("line %d", r.number), r.bad)
				continue
			}
			arrival = r.arrival
			if err := to.event(&r.event, arrival); err != nil {
				return arrival, err
			}
		}
	}
}

// readRows reads lines until the input or ctx ends.
func readRows(ctx context.Context, in io.Reader, p *progress, envelope record.Envelope, to chan<- []row) error {
	const size = 512
	lines := bufio.NewReaderSize(in, 1<<20)
	batch := make([]row, 0, size)
	arrival := int64(0)
	for number := 1; ; number++ {
		text, err := lines.ReadBytes('\n')
		if err != nil && err != io.EOF {
			return err
		}
		last := len(text) == 0 && err == io.EOF
		p.read(len(text))
		if text = trimLine(text); len(text) > 0 {
			r := row{number: number}
			if r.event, r.bad = envelope.Event(nil, text, arrival); r.bad == nil {
				arrival = max(arrival, r.event.Time)
				r.arrival = arrival
			}
			batch = append(batch, r)
		}
		if len(batch) < size && !last {
			continue
		}
		select {
		case to <- batch:
			batch = make([]row, 0, size)
		case <-ctx.Done():
			return ctx.Err()
		}
		if last {
			return nil
		}
	}
}

func trimLine(text []byte) []byte {
	for len(text) > 0 && (text[len(text)-1] == '\n' || text[len(text)-1] == '\r' || text[len(text)-1] == ' ') {
		text = text[:len(text)-1]
	}
	return text
}
