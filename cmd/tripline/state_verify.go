package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tripline/tripline/state"
)

// mostDifferences is how many of a partition are listed.
const mostDifferences = 10

// verified is the comparison of a partition's folder with its changelog.
type verified struct {
	Partition int32    `json:"partition"`
	Changelog int64    `json:"changelog"` // offset up to which both were read
	Records   int      `json:"records"`   // compared; a row is one, or several where it is large
	Since     int      `json:"changed_since"`
	Refused   string   `json:"not_comparable,omitempty"`
	Count     int      `json:"differences"`
	First     []unlike `json:"first_differences,omitempty"`
}

// unlike is a record that is not the same in both.
type unlike struct {
	Row   string `json:"row"`
	Part  uint32 `json:"part,omitempty"`
	Piece uint32 `json:"piece,omitempty"`
	What  string `json:"what"`
}

const (
	onlyLocal     = "only in the local store"
	onlyChangelog = "only in the changelog"
	differing     = "not the same content"
)

func stateVerifyCommand() *cobra.Command {
	var o stateOptions
	c := &cobra.Command{
		Use:   "verify",
		Short: "Compare the local state with the changelog",
		Long: `Compare, record by record, the folder of a process that does not run with the changelog as it was at the folder's position. The
first differences are printed, and the exit code is not 0 if there are any. What was written again since then may be gone from the
changelog and is not compared. Room for the state is needed in the folder for temporary files.`,
		Example: "  tripline state verify\n  tripline state verify --partition 3 --output json\n  tripline state verify --sink",
	}
	o.flags(c)
	o.output = addOutputFlag(c, "text or json")
	c.RunE = func(c *cobra.Command, _ []string) error {
		s, err := o.open()
		if err != nil {
			return err
		}
		all, err := s.verify(c.Context())
		if err != nil {
			return err
		}
		if o.output.word == "json" {
			err = printJSON(c.OutOrStdout(), all)
		} else {
			err = printVerified(c.OutOrStdout(), all)
		}
		differences, refused := 0, 0
		for _, v := range all {
			differences += v.Count
			if v.Refused != "" {
				refused++
			}
		}
		switch {
		case err != nil:
			return err
		case differences > 0:
			return fmt.Errorf("the local state differs from the changelog in %s: delete %s, or its partitions, to have it restored at the next start", plural(differences, "record"), s.dir)
		case refused > 0:
			return fmt.Errorf("%s could not be compared", plural(refused, "partition"))
		}
		return nil
	}
	return c
}

func printVerified(w io.Writer, all []verified) (err error) {
	for _, v := range all {
		switch {
		case v.Refused != "":
			_, err = fmt.Fprintf(w, "partition %d: not compared: %s\n", v.Partition, v.Refused)
		case v.Count == 0:
			_, err = fmt.Fprintf(w, "partition %d: the same, %s up to changelog offset %d, %d more written since\n", v.Partition, plural(v.Records, "record"), v.Changelog, v.Since)
		default:
			_, err = fmt.Fprintf(w, "partition %d: %s of %d up to changelog offset %d\n", v.Partition, plural(v.Count, "difference"), v.Records, v.Changelog)
		}
		for _, d := range v.First {
			place := ""
			if d.Part > 0 || d.Piece > 0 {
				place = fmt.Sprintf(" part %d piece %d", d.Part, d.Piece)
			}
			if err == nil {
				_, err = fmt.Fprintf(w, "  %q%s: %s\n", d.Row, place, d.What)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// verify compares what the folder holds, or the one partition that is asked for.
func (s *stored) verify(ctx context.Context) (all []verified, err error) {
	id, found, err := s.extents(ctx)
	if err != nil {
		return nil, err
	}
	err = s.eachOnDisk(func(p *state.Partition) error {
		v, err := s.verifyPartition(ctx, p, id, found)
		all = append(all, v)
		return err
	})
	return all, err
}

func (s *stored) verifyPartition(ctx context.Context, p *state.Partition, id state.ID, found map[int32]extent) (v verified, err error) {
	pos, n := p.Position(), p.Number()
	v = verified{Partition: n, Changelog: pos.Changelog}
	part, there := found[n]
	switch {
	case !there:
		v.Refused = "the changelog has no such partition"
	case pos.TopicID != id:
		v.Refused = "it belongs to another topic of the name " + s.changelog
	case pos.Changelog < part.start || pos.Changelog > part.end:
		v.Refused = fmt.Sprintf("it ends at offset %d, and the changelog has %d to %d", pos.Changelog, part.start, part.end)
	}
	if v.Refused != "" {
		return v, nil
	}
	since := map[recordAt]bool{}
	if err := s.read(ctx, n, extent{pos.Changelog, part.end}, func(key, _ []byte, _ int64) error {
		if k, piece, ok := state.ParseRecordKey(key); ok {
			since[recordAt{k, piece}] = true
		}
		return nil
	}); err != nil {
		return v, err
	}
	v.Since = len(since)
	return v, inRoom(func(store *state.Store) error {
		from, err := store.Partition(n)
		if err != nil {
			return err
		}
		// With a position records are written over what is there as they are; from nothing they would have to make whole rows, which
		// they need not do in a changelog that ends in the middle.
		if err := from.Apply(nil, state.Position{WrittenAt: time.Now().UnixMilli()}); err != nil {
			return err
		}
		r := from.Restore()
		if err := s.read(ctx, n, extent{part.start, pos.Changelog}, r.Add); err != nil {
			return errors.Join(err, r.Abandon())
		}
		v.comparePosition(pos, r.Position(), part.end)
		if err := r.Finish(pos); err != nil {
			return err
		}
		return v.compare(p, from, s.user, since)
	})
}

// recordAt names a record.
type recordAt struct {
	state.Key
	piece uint32
}

func (p recordAt) compare(q recordAt) int {
	switch {
	case p.ID != q.ID:
		return strings.Compare(p.ID, q.ID)
	case p.Part != q.Part:
		return int(int64(p.Part) - int64(q.Part))
	}
	return int(int64(p.piece) - int64(q.piece))
}

// records pulls the records of a partition. failed has its error once there are no more.
func records(p *state.Partition, failed *error) iter.Seq2[recordAt, []byte] {
	return func(yield func(recordAt, []byte) bool) {
		stop := errors.New("stop")
		err := p.Records(func(k state.Key, piece uint32, value []byte) error {
			if !yield(recordAt{k, piece}, value) {
				return stop
			}
			return nil
		})
		if !errors.Is(err, stop) {
			*failed = err
		}
	}
}

// compare walks over both in order of key.
func (v *verified) compare(local, changelog *state.Partition, user string, since map[recordAt]bool) error {
	var localErr, changelogErr error
	next, stop := iter.Pull2(records(changelog, &changelogErr))
	defer stop()
	b, value, more := next()
	note := func(at recordAt, what string) {
		if since[at] || user != "" && at.ID != user {
			return
		}
		v.add(unlike{at.ID, at.Part, at.piece, what})
	}
	for a, content := range records(local, &localErr) {
		v.Records++
		for more && b.compare(a) < 0 {
			note(b, onlyChangelog)
			b, value, more = next()
		}
		switch {
		case !more || a.compare(b) < 0:
			note(a, onlyLocal)
			continue
		case !bytes.Equal(content, value):
			note(a, differing)
		}
		b, value, more = next()
	}
	for ; more; b, value, more = next() {
		note(b, onlyChangelog)
	}
	return errors.Join(localErr, changelogErr)
}

func (v *verified) add(d unlike) {
	v.Count++
	if len(v.First) < mostDifferences {
		v.First = append(v.First, d)
	}
}

// comparePosition compares the positions, unless the changelog's is gone since a newer one was written.
func (v *verified) comparePosition(local, changelog state.Position, end int64) {
	same := maps.Equal(local.Inputs, changelog.Inputs) && local.Arrival == changelog.Arrival && local.Stream == changelog.Stream
	if !same && !changelog.IsZero() && local.Changelog == end {
		v.add(unlike{Row: "position", What: differing})
	}
}
