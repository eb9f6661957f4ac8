package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/tripline/tripline/config"
	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/record"
)

// BenchmarkMany is R1 and R2 in the core alone: every event's user is opened from their rows, steps, and leaves them again, as who does
// not come often does in the processor. Beside the CPU time of an event it tells what it leaves: bytes of the head, and parts.
func BenchmarkMany(b *testing.B) {
	for _, kind := range []string{"even", manyLoad} {
		b.Run(kind, func(b *testing.B) {
			const events = 100_000
			o := &benchOptions{events: events, users: events * 15 / 100}
			m := &manyCore{b: b, set: setOf(b, kind), rows: map[manyRow][]byte{}, due: map[string]int64{}}
			l := newBenchLoad(o, kind, "events")
			b.ReportAllocs()
			spent, n := int64(0), 0
			for b.Loop() {
				if n++; n%events == 0 {
					l = newBenchLoad(o, kind, "events")
					clear(m.rows)
					clear(m.due)
				}
				r := l.next()
				before := cpu(b)
				m.event(r.Key, r.Value, r.Timestamp.UnixMilli())
				if n%1000 == 0 {
					m.passed(r.Timestamp.UnixMilli())
				}
				spent += cpu(b) - before
			}
			each := func(of int, unit string) { b.ReportMetric(float64(of)/float64(b.N), unit+"/event") }
			each(int(spent), "cpu-ns")
			each(m.heads, "head-B")
			each(m.parts, "parts")
			each(m.bytes, "part-B")
			each(m.reads, "reads")
			each(m.triggers, "triggers")
			each(m.decisions, "decisions")
		})
	}
}

// manyCore is users without a processor.
type manyCore struct {
	b    *testing.B
	set  *campaign.Set
	rows map[manyRow][]byte
	due  map[string]int64
	user campaign.User
	out  campaign.Output
	room record.Room

	heads, parts, bytes, reads, triggers, decisions int
}

type manyRow struct {
	id   string
	part uint32
}

func (m *manyCore) event(key, content []byte, at int64) {
	e, bad := (&record.Envelope{}).EventInto(&m.room, key, content, at)
	if bad != nil {
		m.b.Fatal(bad)
	}
	m.step(string(key), func() { m.user.Event(&e, at, &m.out) })
}

func (m *manyCore) passed(now int64) {
	for id, due := range m.due {
		if due < now {
			m.step(id, func() { m.user.Passed(now, &m.out) })
		}
	}
}

func (m *manyCore) step(id string, do func()) {
	err := m.set.Reopen(&m.user, id, m.rows[manyRow{id, 0}], func(n uint32) []byte {
		m.reads++
		return m.rows[manyRow{id, n}]
	})
	if err != nil {
		m.b.Fatal(err)
	}
	do()
	m.triggers, m.decisions = m.triggers+len(m.out.Triggers), m.decisions+len(m.out.Decisions)
	m.out.Reset()
	m.user.AppendRows(nil, func(n uint32, content []byte) {
		if n == 0 {
			m.heads += len(content)
		} else {
			m.parts, m.bytes = m.parts+1, m.bytes+len(content)
		}
		if m.rows[manyRow{id, n}] = content; content == nil {
			delete(m.rows, manyRow{id, n})
		}
	})
	delete(m.due, id)
	if at, ok := m.user.Due(); ok {
		m.due[id] = at
	}
}

func setOf(b *testing.B, kind string) *campaign.Set {
	bench := &benched{o: &benchOptions{}, kind: kind, group: "bench", dir: b.TempDir(), brokers: []string{"127.0.0.1:9092"}}
	campaigns := benchCampaigns
	if kind == manyLoad {
		campaigns = manyCampaigns()
	}
	if err := os.WriteFile(filepath.Join(bench.dir, "campaigns.yaml"), []byte(campaigns), 0o644); err != nil {
		b.Fatal(err)
	}
	file, err := bench.configure("127.0.0.1:0", "keep")
	if err != nil {
		b.Fatal(err)
	}
	all, problems := config.LoadAll(file, options())
	if err := problems.Err(); err != nil {
		b.Fatal(err)
	}
	return all.Set
}

func cpu(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
