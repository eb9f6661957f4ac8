package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// benchProcess is a processor that runs as a process of its own. It is looked at through its pages.
type benchProcess struct {
	b     *benched
	cmd   *exec.Cmd
	pages string
	log   string
	ended chan struct{}
}

// sample is /metrics: by name with labels, and by name alone the sum over all labels.
type sample map[string]float64

// start starts the processor on the run's folder.
func (b *benched) start(ctx context.Context, onStop, profile string) (*benchProcess, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	listen := fmt.Sprintf("127.0.0.1:%d", port)
	file, err := b.configure(listen, onStop)
	if err != nil {
		return nil, err
	}
	args := []string{"processor", "--config", file}
	if profile != "" {
		folder := filepath.Join(profile, strings.ToLower(b.broker)+"-"+b.kind)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return nil, err
		}
		args = append([]string{"bench"}, append(args, "--profile", folder)...)
	}
	p := &benchProcess{b: b, cmd: exec.CommandContext(ctx, os.Args[0], args...), pages: "http://" + listen, log: filepath.Join(b.dir, "log"), ended: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait() // a killed one ends with an error; stop looks at the exit code
		close(p.ended)
	}()
	return p, nil
}

// end kills the process, if it still runs.
func (p *benchProcess) end() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

// stop ends the process as an operator would.
func (p *benchProcess) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop the processor: %w", err)
	}
	select {
	case <-p.ended:
	case <-time.After(30 * time.Second):
		return errors.New("the processor does not end")
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		return p.failed(fmt.Errorf("the processor has ended with exit code %d", code))
	}
	return nil
}

// failed adds to an error what the process said last.
func (p *benchProcess) failed(err error) error {
	said, readErr := os.ReadFile(p.log)
	if readErr != nil {
		return err
	}
	return fmt.Errorf("%w; it said:\n%s", err, said[max(0, len(said)-2000):])
}

// until looks at the process's metrics every so often until done says so, and returns what it saw last.
func (p *benchProcess) until(ctx context.Context, every time.Duration, done func(sample) bool) (m sample, err error) {
	err = p.wait(ctx, every, func() bool {
		seen, err := p.sample()
		m = seen
		return err == nil && done(m)
	})
	return m, err
}

// wait asks every so often until the answer is yes.
func (p *benchProcess) wait(ctx context.Context, every time.Duration, done func() bool) error {
	for began := time.Now(); !done(); {
		if time.Since(began) > 10*time.Minute {
			return p.failed(errors.New("the processor is not done after ten minutes"))
		}
		select {
		case <-p.ended:
			return p.failed(errors.New("the processor has ended"))
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(every):
		}
	}
	return nil
}

// drained waits until the process has decided nothing for a second.
func (p *benchProcess) drained(ctx context.Context) error {
	var last float64
	still := time.Now()
	_, err := p.until(ctx, 50*time.Millisecond, func(m sample) bool {
		if n := m["tripline_processor_records_total"] + m["tripline_processor_triggers_total"]; n != last {
			last, still = n, time.Now()
		}
		return time.Since(still) > 2*time.Second
	})
	return err
}

// restored waits until every lane runs, and returns how many rows that took from the moment the first one was taken.
func (p *benchProcess) restored(ctx context.Context, began *time.Time) (rows float64, err error) {
	err = p.wait(ctx, 5*time.Millisecond, func() bool {
		lanes, err := p.lanes()
		if err != nil || len(lanes) == 0 {
			return false
		}
		if began.IsZero() {
			*began = time.Now()
		}
		rows = 0
		whole := len(lanes) == benchPartitions
		for _, l := range lanes {
			rows += float64(l.Restored)
			whole = whole && l.Phase == "running"
		}
		return whole
	})
	return rows, err
}

type benchLane struct {
	Phase    string
	Restored int64
}

func (p *benchProcess) lanes() ([]benchLane, error) {
	body, err := p.get("/readyz")
	if err != nil {
		return nil, err
	}
	defer body.Close()
	var page struct {
		Detail struct{ Lanes []benchLane }
	}
	err = json.NewDecoder(body).Decode(&page)
	return page.Detail.Lanes, err
}

// ready reports whether the process says that all its lanes run.
func (p *benchProcess) ready() bool {
	r, err := http.Get(p.pages + "/readyz")
	if err != nil {
		return false
	}
	r.Body.Close()
	return r.StatusCode == http.StatusOK
}

func (p *benchProcess) get(page string) (io.ReadCloser, error) {
	r, err := http.Get(p.pages + page)
	if err != nil {
		return nil, err
	}
	return r.Body, nil
}

func (p *benchProcess) sample() (sample, error) {
	body, err := p.get("/metrics")
	if err != nil {
		return nil, err
	}
	defer body.Close()
	m := sample{}
	for lines := bufio.NewScanner(body); lines.Scan(); {
		at := strings.LastIndexByte(lines.Text(), ' ')
		if at < 0 || lines.Text()[0] == '#' {
			continue
		}
		name := lines.Text()[:at]
		v, err := strconv.ParseFloat(lines.Text()[at+1:], 64)
		if err != nil {
			continue
		}
		m[name] = v
		if bare, _, labelled := strings.Cut(name, "{"); labelled {
			m[bare] += v
		}
	}
	return m, nil
}

// peak is the most memory that the process ever had, in bytes, as Linux tells it; 0 elsewhere.
func (p *benchProcess) peak() float64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	kib, err := strconv.ParseFloat(fields[0], 64)
	if err != nil {
		return 0
	}
	return kib * 1024
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
