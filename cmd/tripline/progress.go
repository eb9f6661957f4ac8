package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// progress is a bar on a terminal's standard error; elsewhere it is silent. It is safe for concurrent use.
type progress struct {
	to        io.Writer
	size      int64 // 0: not known
	records   bool  // counted, and not bytes
	began     time.Time
	seen      atomic.Int64 // of size
	put, took atomic.Int64 // what was put on disk to be gone through afterwards, and has been
	parts     atomic.Int64 // how many of the buckets of users that is so for

	mu    sync.Mutex
	shown time.Time
}

func newProgress(to io.Writer, size int64, records bool) *progress {
	if f, ok := to.(*os.File); ok {
		if stat, err := f.Stat(); err == nil && stat.Mode()&os.ModeCharDevice != 0 {
			return &progress{to: to, size: size, records: records, began: time.Now()}
		}
	}
	return &progress{}
}

func (p *progress) read(n int) {
	p.seen.Add(int64(n))
	p.show()
}

// later counts what is gone through once more, when all has been read.
func (p *progress) later(bytes int) { p.put.Add(p.unit(bytes)) }

// again counts what has been.
func (p *progress) again(bytes int) {
	p.took.Add(p.unit(bytes))
	p.show()
}

func (p *progress) unit(bytes int) int64 {
	if p.records {
		return 1
	}
	return int64(bytes)
}

// suspended notes that what another part of the users do from now on is gone through twice.
func (p *progress) suspended() { p.parts.Add(1) }

func (p *progress) show() {
	if p.to == nil || !p.mu.TryLock() {
		return
	}
	defer p.mu.Unlock()
	now := time.Now()
	if now.Sub(p.shown) < 200*time.Millisecond {
		return
	}
	p.shown = now
	fmt.Fprint(p.to, p.line(now.Sub(p.began)))
}

// line is what is shown after some time. What is still to be read will leave as much to be gone through again as the suspended part of the users.
func (p *progress) line(elapsed time.Duration) string {
	done := float64(p.seen.Load() + p.took.Load())
	rate := done / max(elapsed.Seconds(), 0.001)
	speed := fmt.Sprintf("%.1f MB/s", rate/1e6)
	if p.records {
		speed = fmt.Sprintf("%.0f records/s", rate)
	}
	if p.size == 0 {
		return fmt.Sprintf("\r%8.1f MB, %s ", done/1e6, speed)
	}
	const width = 30
	left := max(0, float64(p.size-p.seen.Load()))*(1+float64(p.parts.Load())/buckets) + float64(p.put.Load()-p.took.Load())
	part := done / max(done+left, 1)
	full := int(part * width)
	bar := make([]byte, width)
	for i := range bar {
		if bar[i] = '.'; i < full {
			bar[i] = '#'
		}
	}
	return fmt.Sprintf("\r[%s] %3.0f %%, %s, %s left ", bar, part*100, speed, time.Duration(left/max(rate, 1)*float64(time.Second)).Round(time.Second))
}

func (p *progress) done() {
	if p.to != nil {
		fmt.Fprint(p.to, "\r\x1b[K")
	}
}
