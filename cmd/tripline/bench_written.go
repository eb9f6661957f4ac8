package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/processor/campaign/value"
	"github.com/tripline/tripline/state"
)

// largeLoad is the load of R3: the events of R1, evenly spread over users who have a history each, which is on disk before the run.
const largeLoad = "r3"

const (
	largeHistory = 200                 // events of a user
	largeSpan    = 20 * 24 * time.Hour // over so long, and before the load
	largeKinds   = 64                  // users who differ; others are like one of them
)

// largeUsers is how many users R3 has: a quick run has fewer.
func largeUsers() int {
	if os.Getenv("R3") == "full" {
		return 5_000_000
	}
	return 200_000
}

// large is R3: until every event is applied and every watch has fired.
func (b *benched) large(ctx context.Context) error {
	set, err := b.set()
	if err != nil {
		return err
	}
	kinds := make([][]state.Row, largeKinds)
	for i := range kinds {
		kinds[i] = b.rowsAfter(set, largeHistory, b.load.now-int64(b.o.events)*int64(b.load.step+1)-largeSpan.Milliseconds(), largeSpan.Milliseconds()/largeHistory)
	}
	if err := b.write(ctx, b.load.users, kinds); err != nil {
		return err
	}
	p, err := b.start(ctx, "keep", b.o.profile)
	if err != nil {
		return err
	}
	defer p.end()
	m, _, err := p.applied(ctx)
	if err != nil {
		return err
	}
	cpu, load := m["process_cpu_seconds_total"]/float64(b.o.events)*1e6, fmt.Sprintf("r3, %d users", b.load.users)
	b.t.add(rowLargeCPU, b.broker, load, cpu)
	if one := b.t.measured[benchKey{rowCPU, b.broker, "even"}]; len(one) > 0 {
		b.t.add(rowLarge, b.broker, load, one[len(one)-1]/cpu*100)
	}
	b.t.add(rowLargeMemory, b.broker, load, p.peak()/(1<<20))
	return p.stop()
}

// set is what the run's configuration says.
func (b *benched) set() (*campaign.Set, error) {
	_, all, err := loadCampaigns(filepath.Join(b.dir, "tripline.yaml"))
	if err != nil {
		return nil, err
	}
	return all.Set, nil
}

// rowsAfter are the rows of a user to whom n events have happened that no watch is open for, the first at a moment, each so many ms after
// the one before.
func (b *benched) rowsAfter(set *campaign.Set, n int, from, every int64) []state.Row {
	events := make([]record.Event, n)
	for i := range events {
		events[i] = record.Event{Name: "Product Viewed", Time: from + int64(i)*every, Properties: value.Properties{
			{Name: "price", Value: value.OfNumber(float64(rand.IntN(24_000)) / 100)}, {Name: "cart_id", Value: value.OfString(fmt.Sprintf("%012x", rand.Uint64()>>16))}}}
	}
	return userRows(set, events)
}

// userRows are the rows of a user to whom events have happened, without the user's ID.
func userRows(set *campaign.Set, events []record.Event) (rows []state.Row) {
	u, _ := set.Open("user", nil, nil) // there is nothing that could be damaged
	var out campaign.Output
	for i := range events {
		u.Event(&events[i], events[i].Time, &out)
		out.Reset()
	}
	u.Rows(func(part uint32, content []byte) {
		r := state.Row{Key: state.Key{Part: part}, Content: append([]byte(nil), content...)}
		if part == 0 {
			r.Due, _ = u.Due()
		}
		rows = append(rows, r)
	})
	return rows
}

// write fills the run's folder with the rows of n users, as a processor would leave it that has applied nothing since: each is like one of
// some kinds.
func (b *benched) write(ctx context.Context, n int, kinds [][]state.Row) (err error) {
	compact := "compact"
	changelog, err := kadm.NewClient(b.client).CreateTopic(ctx, benchPartitions, -1, map[string]*string{"cleanup.policy": &compact}, b.group+"-processor-changelog")
	if err != nil {
		return err
	}
	store, err := state.Open(state.Config{Dir: filepath.Join(b.dir, "state", "processor"), Memory: 2 << 30})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	var parts [benchPartitions]*state.Partition
	var restorers [benchPartitions]*state.Restorer
	for i := range parts {
		if parts[i], err = store.Partition(int32(i)); err != nil {
			return err
		}
		restorers[i] = parts[i].Restore()
	}
	where := kgo.StickyKeyPartitioner(nil).ForTopic(b.load.topic)
	for i := range n {
		id := benchUser(i)
		at := where.Partition(&kgo.Record{Key: []byte(id)}, benchPartitions)
		for _, row := range kinds[i%len(kinds)] {
			row.ID = id
			parts[at].Changelog(row, func(key, value []byte) { err = errors.Join(err, restorers[at].Add(key, value, 0)) })
		}
		if err != nil {
			return err
		}
	}
	for _, r := range restorers {
		err = errors.Join(err, r.Finish(state.Position{TopicID: changelog.ID, Partitions: benchPartitions, Lanes: benchPartitions,
			WrittenAt: time.Now().UnixMilli()}))
	}
	return err
}
