package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/tripline/tripline/config"
	"github.com/tripline/tripline/processor/campaign"
)

// reloadInterval is how often a service looks at its files. A change is taken up when two looks see the same.
const reloadInterval = time.Second

// reloader reads a service's configuration and campaigns again: on SIGHUP, on POST /-/reload, and when a file of them changes. What
// has an error is refused whole, and what is in force goes on.
type reloader struct {
	cfg   *loaded  // in force
	files []string // that it was read from
	log   *zap.Logger
	apply func(*loaded, *config.Loaded) error
	asked chan chan error
	seen  string                       // the files' print when they were read
	set   atomic.Pointer[campaign.Set] // in force
}

func newReloader(cfg *loaded, all *config.Loaded, log *zap.Logger, apply func(*loaded, *config.Loaded) error) *reloader {
	r := &reloader{cfg: cfg, files: all.Files, log: log.Named("reload"), apply: apply, asked: make(chan chan error)}
	r.set.Store(all.Set)
	r.seen = r.print()
	return r
}

// version is that of the campaigns in force.
func (r *reloader) version() string { return r.set.Load().Version() }

// run reloads when there is cause, until ctx ends.
func (r *reloader) run(ctx context.Context) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	looks := time.NewTicker(reloadInterval)
	defer looks.Stop()
	taken, last := r.seen, r.seen
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hangup:
			taken = r.print()
			_ = r.reload() // it is logged
		case answer := <-r.asked:
			taken = r.print()
			answer <- r.reload()
		case <-looks.C:
			now := r.print()
			if now != taken && now == last {
				taken = now
				_ = r.reload()
			}
			last = now
		}
	}
}

// print is another text whenever a file has changed, come or gone.
func (r *reloader) print() string {
	files := slices.Clone(r.files)
	for _, glob := range r.cfg.Campaigns {
		matches, _ := filepath.Glob(glob)
		files = append(files, matches...)
	}
	return contents(files)
}

func (r *reloader) reload() error {
	cfg, all, err := loadCampaigns(r.cfg.file, r.cfg.overrides...)
	if err == nil {
		err = r.apply(cfg, all)
	}
	if err != nil {
		r.log.Error("nothing is reloaded: what was in force goes on", zap.Error(err))
		return err
	}
	before := *r.cfg.Config
	if r.cfg.sasl.adopt(cfg.Kafka.SASL) { // from the next connection on
		before.Kafka.SASL, cfg.sasl = cfg.Kafka.SASL, r.cfg.sasl
	}
	if keys := needRestart(&before, cfg.Config); len(keys) > 0 {
		r.log.Warn("some of what has changed takes effect at a restart", zap.Strings("keys", keys))
	}
	r.cfg, r.files = cfg, all.Files
	r.set.Store(all.Set)
	r.log.Info("reloaded", zap.Strings("campaigns", all.Set.Names()), zap.String("campaigns_version", all.Set.Version()))
	return nil
}

// reloadable are the keys of tripline.yaml that a reload puts in force.
var reloadable = []string{"campaigns", "endpoints", "caps", "timezone", "timezone_property", "allowed_lateness", "max_future", "settle", "history", "decisions"}

// needRestart lists the keys that differ and are not reloadable.
func needRestart(before, now *config.Config) (keys []string) {
	a, b := reflect.ValueOf(before).Elem(), reflect.ValueOf(now).Elem()
	for i := range a.NumField() {
		key, _, _ := strings.Cut(a.Type().Field(i).Tag.Get("yaml"), ",")
		if !slices.Contains(reloadable, key) && !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			keys = append(keys, key)
		}
	}
	return keys
}

// page is POST /-/reload. It answers when the reload is done: 200, or 422 with the problems.
func (r *reloader) page() page {
	return page{"POST /-/reload", func(w http.ResponseWriter, q *http.Request) {
		answer := make(chan error, 1)
		select {
		case r.asked <- answer:
		case <-q.Context().Done():
			return
		}
		select {
		case err := <-answer:
			if err != nil {
				http.Error(w, err.Error(), http.StatusUnprocessableEntity)
				return
			}
			fmt.Fprintln(w, "reloaded")
		case <-q.Context().Done():
		}
	}}
}

// compileText makes the set of campaigns that another process has recorded.
func compileText(text []byte) (*campaign.Set, error) {
	set, problems := config.CompileText(text, checks())
	return set, problems.Err()
}

// versions is a file of the versions that the campaigns of this process's files have had, one a line, the last one last. By it a process that
// starts tells that its files have changed since from that another process has others.
type versions struct {
	file string
	list []string
}

// mostVersions bounds the file.
const mostVersions = 64

// newVersions reads the file. Where it cannot be read the files have had none, as far as is known.
func newVersions(file string) *versions {
	text, _ := os.ReadFile(file)
	return &versions{file: file, list: strings.Fields(string(text))}
}

// before lists the versions that are not the last, which is this one.
func (v *versions) before(version string) []string {
	return slices.DeleteFunc(slices.Clone(v.list), func(had string) bool { return had == version })
}

// add notes the version that the files have now.
func (v *versions) add(version string) error {
	if n := len(v.list); n > 0 && v.list[n-1] == version {
		return nil
	}
	v.list = append(slices.DeleteFunc(v.list, func(had string) bool { return had == version }), version)
	v.list = v.list[max(0, len(v.list)-mostVersions):]
	if err := os.WriteFile(v.file+".new", []byte(strings.Join(v.list, "\n")+"\n"), 0o644); err != nil {
		return err
	}
	return os.Rename(v.file+".new", v.file)
}
