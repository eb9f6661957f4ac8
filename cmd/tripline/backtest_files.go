package main

import (
	"bufio"
	"errors"
	"os"

	"github.com/tripline/tripline/processor/campaign"
)

// recordWriters write the very records that the topics would get.
type recordWriters struct {
	files               []*os.File
	triggers, decisions *bufio.Writer
	buffer              []byte
}

func openWriters(o *backtestOptions) (*recordWriters, error) {
	w := &recordWriters{}
	for _, one := range []struct {
		name string
		to   **bufio.Writer
	}{{o.triggers, &w.triggers}, {o.decisions, &w.decisions}} {
		if one.name == "" {
			continue
		}
		f, err := os.Create(one.name)
		if err != nil {
			return nil, err
		}
		w.files = append(w.files, f)
		*one.to = bufio.NewWriterSize(f, 1<<16)
	}
	return w, nil
}

func (w *recordWriters) write(out *campaign.Output) {
	for i := range out.Triggers {
		if t := &out.Triggers[i]; w.triggers != nil {
			w.buffer = append(t.Append(w.buffer[:0], t.Left), '\n')
			w.triggers.Write(w.buffer) // a bufio.Writer keeps the first error for Flush
		}
	}
	for i := range out.Decisions {
		if d := &out.Decisions[i]; w.decisions != nil {
			w.buffer = append(d.Append(w.buffer[:0]), '\n')
			w.decisions.Write(w.buffer)
		}
	}
}

func (w *recordWriters) close() error {
	var err error
	for _, b := range []*bufio.Writer{w.triggers, w.decisions} {
		if b != nil {
			err = errors.Join(err, b.Flush())
		}
	}
	for _, f := range w.files {
		err = errors.Join(err, f.Close())
	}
	return err
}
