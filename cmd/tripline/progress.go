package main

import (
	"fmt"
	"io"
	"os"
	"time"
)

// progress is a bar on a terminal's standard error; elsewhere it is silent.
type progress struct {
	to         io.Writer
	size, seen int64 // size 0: not known
	records    bool  // counted, and not bytes
	began      time.Time
	shown      time.Time
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
	if p.seen += int64(n); p.to == nil {
		return
	}
	now := time.Now()
	if now.Sub(p.shown) < 200*time.Millisecond {
		return
	}
	p.shown = now
	rate := float64(p.seen) / max(now.Sub(p.began).Seconds(), 0.001)
	speed := fmt.Sprintf("%.1f MB/s", rate/1e6)
	if p.records {
		speed = fmt.Sprintf("%.0f records/s", rate)
	}
	if p.size == 0 {
		fmt.Fprintf(p.to, "\r%8.1f MB, %s ", float64(p.seen)/1e6, speed)
		return
	}
	const width = 30
	part := min(1, float64(p.seen)/float64(p.size))
	full := int(part * width)
	bar := make([]byte, width)
	for i := range bar {
		if bar[i] = '.'; i < full {
			bar[i] = '#'
		}
	}
	left := time.Duration(float64(p.size-p.seen) / rate * float64(time.Second)).Round(time.Second)
	fmt.Fprintf(p.to, "\r[%s] %3.0f %%, %s, %s left ", bar, part*100, speed, max(0, left))
}

func (p *progress) done() {
	if p.to != nil {
		fmt.Fprint(p.to, "\r\x1b[K")
	}
}
