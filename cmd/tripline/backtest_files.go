package main

import (
	"bufio"
	"errors"
	"os"
)

// recordWriters write the very records that the topics would get.
type recordWriters struct {
	files               []*os.File
	triggers, decisions *bufio.Writer
	room                struct{ triggers, decisions, entry []byte } // of an emission
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

// write takes what has been encoded.
func (w *recordWriters) write(e *emission) {
	if w.triggers != nil {
		w.triggers.WriteString(e.triggers) // a bufio.Writer keeps the first error for Flush
	}
	if w.decisions != nil {
		w.decisions.WriteString(e.decisions)
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
