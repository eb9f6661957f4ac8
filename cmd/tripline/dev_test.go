package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// output is what a process has written so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// startDev runs tripline dev in dir on ports of its own.
func startDev(t *testing.T, dir string, port, receiver int) (*process, *output, *output) {
	t.Helper()
	var out, errors output
	p := &process{t: newReasons(t), cmd: exec.Command(os.Args[0], "dev", "--dir", dir, "--port", fmt.Sprint(port), "--receiver-port", fmt.Sprint(receiver),
		"--processor-listen", "127.0.0.1:0", "--sink-listen", "127.0.0.1:0"), ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), "TRIPLINE_TEST_COMMAND=1")
	p.cmd.Stdout, p.cmd.Stderr = &out, &errors
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // killed processes end with an error
		close(p.ended)
	}()
	t.Cleanup(p.kill)
	return p, &out, &errors
}

// unusedPort is none of those that the system gives away: tests run side by side.
func unusedPort(t *testing.T) int {
	for range 100 {
		port := 20_000 + rand.IntN(10_000)
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

func await(t *testing.T, out *output, want string) {
	t.Helper()
	for began := time.Now(); !strings.Contains(out.String(), want); time.Sleep(50 * time.Millisecond) {
		if time.Since(began) > 60*time.Second {
			t.Fatalf("%q does not come:\n%s", want, out.String())
		}
	}
}

// dev delivers, goes on after a kill, lets no second process into its folder, and says nothing that frightens.
func TestDev(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "dev")
	port, receiver := unusedPort(t), unusedPort(t)
	for i := range 3 {
		p, out, errors := startDev(t, dir, port, receiver)
		await(t, out, "webhook   POST")
		await(t, out, ": delivered, attempt 1, status 204\n")
		if i == 0 {
			second, _, said := startDev(t, dir, unusedPort(t), unusedPort(t))
			<-second.ended
			if second.cmd.ProcessState.ExitCode() != 1 || !strings.Contains(said.String(), "in use") {
				t.Errorf("a second process in the folder says: %s", said.String())
			}
		}
		if i == 2 {
			p.signal(syscall.SIGINT)
			<-p.ended
			if code := p.cmd.ProcessState.ExitCode(); code != 0 {
				t.Errorf("exit code %d after SIGINT", code)
			}
		} else {
			p.kill()
		}
		if errors.String() != "" {
			t.Errorf("start %d says: %s", i+1, errors.String())
		}
	}
}
