package registry

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/sr"
	"go.uber.org/zap"

	"github.com/tripline/tripline/processor/schema"
)

// entry is what is known of a schema.
type entry struct {
	schema *schema.Schema
	refuse string        // why records with this id cannot be read; "": they can, or it is not known yet
	known  bool          // schema or refuse is settled,
	until  time.Time     // until then; zero: for ever
	asked  chan struct{} // closed when the answer is there that is waited for; nil: none is
	failed int           // how often the registry did not answer in a row
	again  time.Time     // not to be asked before
	fault  string        // why not, the last time
	used   uint64
}

// settled says whether an entry answers for its schema.
func (e *entry) settled(now time.Time) bool {
	return e.known && (e.until.IsZero() || now.Before(e.until))
}

// look finds what is known of a schema, and asks the registry if it is time to. It does not wait.
func (r *Registry) look(id ref) (e entry, ready bool) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.uses++
	at := r.entries[id]
	if at == nil {
		r.forget()
		at = &entry{}
		r.entries[id] = at
	}
	at.used = r.uses
	if at.settled(now) {
		return *at, true
	}
	if at.asked == nil && !now.Before(at.again) && r.ctx.Err() == nil {
		at.asked = make(chan struct{})
		r.fetches.Go(func() { r.ask(id, at) })
	}
	return *at, false
}

// forget makes room for one entry more.
func (r *Registry) forget() {
	if len(r.entries) < maxSchemas {
		return
	}
	oldest, found := ref{}, false
	for id, e := range r.entries {
		if e.asked == nil && (!found || e.used < r.entries[oldest].used) {
			oldest, found = id, true
		}
	}
	if found {
		r.counted(r.entries[oldest], 0)
		delete(r.entries, oldest)
	}
}

// ask fetches a schema, once, and settles its entry.
func (r *Registry) ask(id ref, e *entry) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(r.ctx, patience)
	defer cancel()
	source, err := r.fetch(ctx, id)
	if unknown(err) && r.pause(ctx) {
		source, err = r.fetch(ctx, id)
	}
	var compiled *schema.Schema
	refuse, outcome := "", "fetched"
	switch {
	case unknown(err):
		refuse, outcome = fmt.Sprintf("the schema registry does not know schema %s: %s", id, r.explain(err)), "unknown"
	case err != nil:
		outcome = "failed"
	default:
		if compiled, err = schema.Compile(source); err != nil {
			refuse, outcome = fmt.Sprintf("schema %s cannot be used: %s", id, r.explain(err)), "unusable"
		}
	}
	if r.ctx.Err() == nil {
		r.metrics.fetches.WithLabelValues(outcome).Inc()
		r.log(id, source.Type, outcome, began, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	close(e.asked)
	e.asked = nil
	if outcome == "failed" {
		r.counted(e, e.failed+1)
		e.fault = r.explain(err)
		e.again = time.Now().Add(min(firstPause<<min(e.failed-1, 10), lastPause))
		return
	}
	r.counted(e, 0)
	e.schema, e.refuse, e.known, e.until = compiled, refuse, true, time.Time{}
	if outcome == "unknown" { // it may be a registry that has not heard of it yet
		e.until = time.Now().Add(unknownFor)
	}
}

// pause is before what is not known is asked for once more: of several registries one may learn of a new schema a little later.
func (r *Registry) pause(ctx context.Context) bool {
	after := time.NewTimer(firstPause)
	defer after.Stop()
	select {
	case <-after.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// counted notes how often an id's fetch has failed in a row.
func (r *Registry) counted(e *entry, failed int) {
	if e.failed == 0 && failed > 0 {
		r.metrics.waiting.Inc()
	}
	if e.failed > 0 && failed == 0 {
		r.metrics.waiting.Dec()
	}
	e.failed = failed
}

func (r *Registry) log(id ref, kind, outcome string, began time.Time, err error) {
	fields := []zap.Field{zap.Stringer("schema", id), zap.String("registry", r.shown), zap.Duration("took", time.Since(began))}
	switch outcome {
	case "fetched":
		r.cfg.Log.Info("schema fetched", append(fields, zap.String("type", kind))...)
	case "failed":
		r.cfg.Log.Warn("the schema registry does not answer; records with this schema wait", append(fields, zap.String("error", r.explain(err)))...)
	default:
		r.cfg.Log.Warn("records with this schema are dead letters", append(fields, zap.String("outcome", outcome), zap.String("error", r.explain(err)))...)
	}
}

// maxReferences is how many schemas one may refer to, in all.
const maxReferences = 500

// fetch asks for a schema and for all that it refers to.
func (r *Registry) fetch(ctx context.Context, id ref) (schema.Source, error) {
	var s sr.Schema
	var err error
	if id.guid == [16]byte{} {
		s, err = r.client.SchemaByID(ctx, int(id.id))
	} else {
		var global sr.SubjectSchema
		global, err = r.client.SchemaByGUID(ctx, id.String())
		s = global.Schema
	}
	if err != nil {
		return schema.Source{}, err
	}
	from := schema.Source{Type: s.Type.String(), Text: s.Schema}
	if s.Type == sr.TypeJSON { // its records are read without it
		return from, nil
	}
	err = r.follow(sr.WithParams(ctx, sr.ShowDeleted), s.References, &from, map[sr.SchemaReference]bool{})
	return from, err
}

// follow adds what references name, each behind those it refers to itself.
func (r *Registry) follow(ctx context.Context, references []sr.SchemaReference, to *schema.Source, seen map[sr.SchemaReference]bool) error {
	for _, ref := range references {
		if seen[ref] {
			continue
		}
		if seen[ref] = true; len(seen) > maxReferences {
			return nil // compiling tells what is not there
		}
		s, err := r.client.SchemaByVersion(ctx, ref.Subject, ref.Version)
		if err != nil {
			return fmt.Errorf("its reference %s (version %d of %s): %w", ref.Name, ref.Version, ref.Subject, err)
		}
		if err := r.follow(ctx, s.References, to, seen); err != nil {
			return err
		}
		to.References = append(to.References, schema.Reference{Name: ref.Name, Text: s.Schema.Schema})
	}
	return nil
}
