package main

import (
	"bufio"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"

	"github.com/tripline/tripline/processor"
	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/dump"
	"github.com/tripline/tripline/sink/outbox"
	"github.com/tripline/tripline/state"
)

// positionLine is a partition's position as a line of JSON.
type positionLine struct {
	Partition int32 `json:"partition"`
	Position  struct {
		Inputs     map[string]int64 `json:"inputs"` // next offsets
		Arrival    string           `json:"arrival"`
		Stream     string           `json:"stream_time"`
		Changelog  int64            `json:"changelog"` // next offset
		TopicID    string           `json:"changelog_topic_id"`
		Partitions int32            `json:"partitions"`
		Lanes      int32            `json:"lanes"`
		WrittenAt  string           `json:"written_at"`
	} `json:"position"`
	Campaigns *processor.Recorded `json:"campaigns,omitempty"` // the set that the partition is decided by
}

// userLine is a user's rows as a line of JSON.
type userLine struct {
	Partition int32  `json:"partition"`
	Due       string `json:"due,omitempty"` // of the user's first timer
	*dump.User
}

// sinkLine is a row of the sink as a line of JSON.
type sinkLine struct {
	Partition int32 `json:"partition"`
	*outbox.Shown
}

// brokenLine is a row that cannot be read as a line of JSON.
type brokenLine struct {
	Partition int32  `json:"partition"`
	Row       string `json:"row"`
	Part      uint32 `json:"part,omitempty"`
	Error     string `json:"error"`
	Content   string `json:"content"` // base64
}

// dumper prints partitions.
type dumper struct {
	*stateOptions
	names  dump.Names
	w      *bufio.Writer
	json   *json.Encoder
	found  int
	broken int
}

func newDumper(w io.Writer, o *stateOptions, names dump.Names) *dumper {
	d := &dumper{stateOptions: o, names: names, w: bufio.NewWriterSize(w, 64<<10)}
	d.json = json.NewEncoder(d.w)
	d.json.SetEscapeHTML(false)
	return d
}

// finish says whether all that was asked for has been printed.
func (d *dumper) finish() error {
	if err := d.w.Flush(); err != nil {
		return err
	}
	switch {
	case d.broken > 0:
		return fmt.Errorf("%s cannot be read: see \"error\" in the output", plural(d.broken, "row"))
	case d.user != "" && d.found == 0:
		return fmt.Errorf("nothing is kept of user %s where it was looked for", d.user)
	}
	return nil
}

func (d *dumper) partition(p *state.Partition) error {
	if d.user == "" {
		if err := d.position(p); err != nil {
			return err
		}
	}
	if d.sink {
		return p.Scan(func(r state.Row) error { return d.sinkRow(p.Number(), r) })
	}
	if d.user != "" {
		head, due, found, err := p.Head(d.user)
		if err != nil || !found {
			return err
		}
		return d.head(p, state.Row{Key: state.Key{ID: d.user}, Due: due, Content: head})
	}
	last := "" // whose head has been seen
	return p.Scan(func(r state.Row) error {
		switch {
		case r.ID == processor.SetID:
			return nil // it stands beside the position
		case r.Part == 0:
			last = r.ID
			return d.head(p, r)
		case r.ID == last:
			return nil // its head has shown it
		}
		return d.cannotRead(p.Number(), r, fmt.Errorf("older history of a user who has no row"))
	})
}

func (d *dumper) position(p *state.Partition) error {
	pos := p.Position()
	line := positionLine{Partition: p.Number()}
	x := &line.Position
	x.Inputs, x.Changelog, x.Partitions, x.Lanes = pos.Inputs, pos.Changelog, pos.Partitions, pos.Lanes
	x.TopicID, x.WrittenAt = hex.EncodeToString(pos.TopicID[:]), calendar.FormatTime(pos.WrittenAt)
	x.Arrival, x.Stream = calendar.FormatTime(pos.Arrival), calendar.FormatTime(pos.Stream)
	if !d.sink {
		set, err := processor.ReadSet(p)
		if err != nil {
			return d.cannotRead(p.Number(), state.Row{Key: state.Key{ID: processor.SetID}}, err)
		}
		line.Campaigns = set
	}
	return d.json.Encode(line)
}

// head prints a user.
func (d *dumper) head(p *state.Partition, r state.Row) error {
	d.found++
	var failed error
	u, err := dump.Read(r.ID, r.Content, func(n uint32) []byte {
		content, _, err := p.Get(state.Key{ID: r.ID, Part: n})
		failed = err
		return content
	}, d.names)
	if failed != nil {
		return failed
	}
	if err != nil {
		return d.cannotRead(p.Number(), r, err)
	}
	line := userLine{Partition: p.Number(), User: u}
	if r.Due != 0 {
		line.Due = calendar.FormatTime(r.Due)
	}
	return d.json.Encode(line)
}

func (d *dumper) sinkRow(n int32, r state.Row) error {
	x, err := outbox.Show(r)
	switch {
	case err != nil:
		return d.cannotRead(n, r, err)
	case d.user != "" && x.User != d.user:
		return nil
	}
	d.found++
	return d.json.Encode(sinkLine{n, x})
}

func (d *dumper) cannotRead(n int32, r state.Row, err error) error {
	d.broken++
	return d.json.Encode(brokenLine{Partition: n, Row: r.ID, Part: r.Part, Error: err.Error(), Content: base64.StdEncoding.EncodeToString(r.Content)})
}
