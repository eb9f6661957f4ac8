package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// manyLoad is the load of R2: the events of R1, evenly spread, and a hundred campaigns of which an event concerns three.
const manyLoad = "r2"

// fewLoad is R2 without the campaigns that no event concerns: what these cost is the difference.
const fewLoad = "r2-few"

// The campaigns of R2 that an event of the load concerns: of all kinds, with audiences that count, and quiet hours.
const concerned = `
---
name: looked-and-took
trigger:
  actions: {within: 2h, all: [{event: Product Viewed}, {event: Added To Cart}]}
audience: 'count("Added To Cart", "7d") >= 2'
quiet_hours: {from: "22:00", to: "08:00", then: drop}
deliver: {endpoint: hook}
---
name: looks-only
trigger:
  inaction: {in_last: 3h, did: {event: Product Viewed, at_least: 2}, did_not: {event: Charged}, check: {after: 2h}}
audience: 'count("Charged", "30d") == 0'
deliver: {endpoint: hook}
---
name: after-a-purchase
trigger:
  date_time_property: {event: Charged, offset: 45m}
audience: 'count("Charged", "30d") >= 1'
deliver: {endpoint: hook}
---
name: large-cart
trigger:
  single_action: {event: Added To Cart, where: 'event.price >= 290'}
audience: 'count("Product Viewed", "30d") >= 1'
quiet_hours: {from: "22:00", to: "08:00", then: drop}
deliver: {endpoint: hook}
`

// fewCampaigns are those of R2 that events concern: those, and R1's.
const fewCampaigns = benchCampaigns + concerned

// manyCampaigns are R2's: the few, and others whose events do not come.
func manyCampaigns() string {
	var b strings.Builder
	b.WriteString(fewCampaigns)
	for i := range 94 {
		fmt.Fprintf(&b, "---\nname: other-%d\ntrigger:\n  ", i)
		switch event := fmt.Sprintf("Other %d", i%50); i % 4 {
		case 0:
			fmt.Fprintf(&b, "single_action: {event: %s, where: 'event.n > %d'}\n", event, i)
		case 1:
			fmt.Fprintf(&b, "inaction_within_time: {after: {event: %s}, without: {event: %s done}, within: 1h}\n", event, event)
		case 2:
			fmt.Fprintf(&b, "actions: {within: 1d, all: [{event: %s}, {event: %s again}]}\n", event, event)
		case 3:
			fmt.Fprintf(&b, "date_time_property: {event: %s, offset: 1d}\n", event)
		}
		fmt.Fprintf(&b, "audience: 'count(\"Other %d\", \"30d\") >= %d'\ndeliver: {endpoint: hook}\n", i%50, 1+i%3)
	}
	return b.String()
}

// manyConfig is what R2 has beside R1's configuration: all properties in history, and caps.
const manyConfig = "history: {properties: all}\ncaps: [{name: daily, max: 3, per: 1d}, {name: weekly, max: 10, per: 7d}]\n"

// many is R2: until every event is applied and nothing more is decided. What it must decide is not known here; that is the
// twin's to say.
func (b *benched) many(ctx context.Context) error {
	p, err := b.start(ctx, "keep", b.o.profile)
	if err != nil {
		return err
	}
	defer p.end()
	seen, last := 0.0, time.Now()
	m, err := p.until(ctx, 100*time.Millisecond, func(m sample) bool {
		if n := m["tripline_processor_records_total"] + m["tripline_processor_triggers_total"] + m["tripline_processor_suppressed_total"]; n != seen {
			seen, last = n, time.Now()
		}
		return m["tripline_processor_records_total"] >= float64(b.load.made) && time.Since(last) > 3*time.Second
	})
	if err != nil {
		return err
	}
	cpu := m["process_cpu_seconds_total"] / float64(b.o.events) * 1e6
	b.add(rowManyCPU, cpu)
	if b.kind == manyLoad {
		b.relative(rowMany, rowCPU, "even", cpu)
		b.relative(rowManyFew, rowManyCPU, fewLoad, cpu)
		b.add(rowManyMemory, p.peak()/(1<<20))
	}
	fmt.Fprintf(b.progress, "  %.1f s of CPU, %.0f triggers, %.0f suppressed, %.0f cycles, %.0f MiB\n", m["process_cpu_seconds_total"], m["tripline_processor_triggers_total"],
		m["tripline_processor_suppressed_total"], m["tripline_lane_cycles_total"], p.peak()/(1<<20))
	return p.stop()
}

// relative adds what is left of a load's events for each second of CPU, where that load was run.
func (b *benched) relative(row, of benchRow, load string, cpu float64) {
	if one := b.t.measured[benchKey{of, b.broker, load}]; len(one) > 0 {
		b.add(row, one[len(one)-1]/cpu*100)
	}
}
