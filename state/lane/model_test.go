package lane

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/state"
)

// expected is what one pure run over the input writes, by partition, and the
// counts that it ends with.
func (w *world) expected() (out map[int32][]string, counts map[int32]map[string]int) {
	out, counts = make(map[int32][]string), make(map[int32]map[string]int)
	records := w.read(w.in)
	for p := range w.partitions {
		counts[p] = make(map[string]int)
		for _, r := range records[p] {
			counts[p][string(r.Key)]++
			out[p] = append(out[p], fmt.Sprintf("%s=%d", r.Key, counts[p][string(r.Key)]))
		}
	}
	return out, counts
}

func (w *world) written() map[int32][]string {
	out := make(map[int32][]string)
	for p, records := range w.read(w.out) {
		for _, r := range records {
			out[p] = append(out[p], string(r.Value))
		}
	}
	return out
}

// settle waits until out is what is expected of in, and checks that it stays so.
func (w *world) settle() {
	w.t.Helper()
	expected, _ := w.expected()
	for waited := 0; ; waited++ {
		written := w.written()
		same := true
		for p := range w.partitions {
			same = same && slices.Equal(written[p], expected[p])
		}
		if same {
			break
		}
		if waited == 60 {
			w.t.Fatalf("written after a minute:\n%v\nexpected:\n%v", written, expected)
		}
		time.Sleep(time.Second)
	}
	time.Sleep(5 * time.Second)
	written := w.written()
	for p := range w.partitions {
		if !slices.Equal(written[p], expected[p]) {
			w.t.Fatalf("partition %d, after it was as expected: %v, expected %v", p, written[p], expected[p])
		}
	}
}

// loop counts the records of each user, and writes each count.
func (p *process) loop(ctx context.Context, l *Lane) error {
	p.mu.Lock()
	p.starts[l.Number()]++
	p.mu.Unlock()
	for ctx.Err() == nil {
		within, cancel := context.WithTimeout(ctx, time.Second)
		batches, err := l.Poll(within, 100)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
			continue
		}
		if err != nil {
			return err
		}
		c, err := count(l, batches, p.w.out)
		if err != nil {
			return err
		}
		if p.beforeCommit != nil {
			p.beforeCommit(l, c)
		}
		if err := l.Commit(c); err != nil {
			return fmt.Errorf("cycle: %w", err)
		}
	}
	return nil
}

func count(l *Lane, batches []Batch, out string) (c Cycle, err error) {
	counts := make(map[int32]map[string]int)
	inputs := make(map[int32]map[string]int64)
	for _, b := range batches {
		if counts[b.Partition] == nil {
			counts[b.Partition], inputs[b.Partition] = make(map[string]int), make(map[string]int64)
		}
		inputs[b.Partition][b.Topic] = b.Next
		for _, r := range b.Records {
			user := string(r.Key)
			n, known := counts[b.Partition][user]
			if !known {
				content, _, err := l.partition(b.Partition).State.Get(state.Key{ID: user})
				if err != nil {
					return c, err
				}
				n, _ = strconv.Atoi(string(content))
			}
			counts[b.Partition][user] = n + 1
			c.Records = append(c.Records, &kgo.Record{Topic: out, Key: r.Key, Value: fmt.Appendf(nil, "%s=%d", user, n+1)})
		}
	}
	for number, users := range counts {
		change := Change{Partition: number, Position: l.partition(number).State.Position()}
		change.Position.Inputs = inputs[number]
		for user, n := range users {
			change.Rows = append(change.Rows, state.Row{Key: state.Key{ID: user}, Content: []byte(strconv.Itoa(n))})
		}
		c.Changes = append(c.Changes, change)
	}
	return c, nil
}

// checkState compares a process's rows with what is expected.
func (p *process) checkState() {
	p.w.t.Helper()
	_, expected := p.w.expected()
	if got := p.counts(); !reflect.DeepEqual(got, expected) {
		p.w.t.Errorf("state %v, expected %v", got, expected)
	}
}
