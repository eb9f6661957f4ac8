package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// progress is a bar on a terminal's standard error; elsewhere it is silent. An input is read, and then gone through. It is safe for concurrent use.
type progress struct {
	to      io.Writer
	size    int64 // 0: not known
	records bool  // counted, and not bytes

	mu      sync.Mutex
	seen    int64   // of size
	through float64 // of it
	took    [2]time.Duration
	phase   int // 0: reading, 1: going through
	since   time.Time
	shown   time.Time
}

func newProgress(to io.Writer, size int64, records bool) *progress {
	if f, ok := to.(*os.File); ok {
		if stat, err := f.Stat(); err == nil && stat.Mode()&os.ModeCharDevice != 0 {
			return &progress{to: to, size: size, records: records, since: time.Now()}
		}
	}
	return &progress{}
}

// read counts what has been read, and says how much has been so far.
func (p *progress) read(n int) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen += int64(n)
	p.show()
	return p.seen
}

// goThrough says that what has been read is gone through from now on, or that more is read.
func (p *progress) goThrough(begins bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.took[p.phase] += now.Sub(p.since)
	p.since, p.phase = now, 0
	if begins {
		p.phase = 1
	}
}

// gone counts a bucket of a stretch of some size.
func (p *progress) gone(size int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.through += float64(size) / buckets
	p.show()
}

func (p *progress) show() {
	if p.to == nil {
		return
	}
	now := time.Now()
	if now.Sub(p.shown) < 200*time.Millisecond {
		return
	}
	p.shown = now
	took := p.took
	took[p.phase] += now.Sub(p.since)
	fmt.Fprint(p.to, p.line(took))
}

// longer is by how much going through takes longer than reading, until it is known.
const longer = 2.5

// line is what is shown after so much time in each phase.
func (p *progress) line(took [2]time.Duration) string {
	spent := max(took[0]+took[1], time.Millisecond).Seconds()
	// What has been read and not been gone through yet is half done, as it were.
	done := (float64(p.seen) + longer*p.through) / (1 + longer)
	speed := fmt.Sprintf("%.1f MB/s", done/spent/1e6)
	if p.records {
		speed = fmt.Sprintf("%.0f records/s", done/spent)
	}
	size := max(float64(p.size), float64(p.seen))
	if p.size == 0 && p.phase == 0 {
		return fmt.Sprintf("\r%8.1f MB, %s ", float64(p.seen)/1e6, speed)
	}
	const width = 30
	part := min(1, done/max(size, 1))
	full := int(part * width)
	bar := make([]byte, width)
	for i := range bar {
		if bar[i] = '.'; i < full {
			bar[i] = '#'
		}
	}
	reading := took[0].Seconds() / max(float64(p.seen), 1) // s for one
	through := reading * longer
	if p.through > 0 {
		through = took[1].Seconds() / p.through
	}
	left := (size-float64(p.seen))*reading + (size-p.through)*through
	return fmt.Sprintf("\r[%s] %3.0f %%, %s, %s left ", bar, part*100, speed, time.Duration(max(0, left)*float64(time.Second)).Round(time.Second))
}

func (p *progress) done() {
	if p.to != nil {
		fmt.Fprint(p.to, "\r\x1b[K")
	}
}
