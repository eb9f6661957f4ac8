package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// load produces in bursts while do happens after each.
func (l *line) load(bursts int, do func(burst int)) {
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range bursts {
		l.produce(rng, 1500, 200)
		do(i)
	}
}

func TestLineProcessorKilled(t *testing.T) {
	t.Parallel()
	l := newLine(t, 6, "")
	p := l.start("processor", "a")
	l.load(6, func(burst int) {
		time.Sleep(400 * time.Millisecond) // in mid-load is the point
		if burst%2 == 1 {
			p.kill()
			p = l.start("processor", "a")
		}
	})
	l.whole()
	p.stop()
}

func TestLineTwoProcessors(t *testing.T) {
	t.Parallel()
	l := newLine(t, 6, "")
	a, b := l.start("processor", "a"), l.start("processor", "b")
	l.load(4, func(burst int) {
		time.Sleep(500 * time.Millisecond) // load goes on while members come and go
		if burst == 1 {
			b.kill()
		}
		if burst == 2 {
			b = l.start("processor", "b")
		}
	})
	l.whole()
	a.stop()
	b.stop()
}

func TestLineEmptiedState(t *testing.T) {
	t.Parallel()
	l := newLine(t, 4, "")
	p := l.start("processor", "a")
	l.load(2, func(int) {})
	l.whole()
	p.stop()
	if err := os.RemoveAll(filepath.Join(l.dir, "state-a")); err != nil {
		t.Fatal(err)
	}
	p = l.start("processor", "a")
	l.load(2, func(int) {})
	l.whole()
	p.stop()
}

// A processor that stands still while the event that ends a watch comes in must not fire it when it goes on.
func TestLineStoppedAndContinued(t *testing.T) {
	t.Parallel()
	l := newLine(t, 2, "")
	p := l.start("processor", "a")
	l.event("warm", "Paid", `{"amount":100}`)
	l.event("warm", "Paid", `{"amount":100}`)
	l.whole()
	l.event("ann", "Cart", `{"cart":"c1","amount":80}`)
	time.Sleep(time.Second) // the watch is open: it runs for three
	p.signal(syscall.SIGSTOP)
	time.Sleep(time.Second)
	l.event("ann", "Paid", `{"cart":"c1","amount":1}`)
	time.Sleep(10 * time.Second) // longer than the watch, and than the session
	p.signal(syscall.SIGCONT)
	l.event("bob", "Cart", `{"cart":"c1","amount":80}`)
	time.Sleep(4 * time.Second)
	l.whole()
	triggers, _ := l.committed()
	for _, trigger := range triggers {
		if strings.Contains(trigger, `"user_id":"ann"`) {
			t.Fatalf("the watch fired although the backlog held the event that ends it: %s", trigger)
		}
	}
	p.stop()
}

// A processor that keeps warm copies of another's lanes goes on with them when that is lost, and reads only what came last.
func TestLineStandby(t *testing.T) {
	t.Parallel()
	l := newLine(t, 4, "")
	l.config = strings.Replace(l.config, "dir: state}", "dir: state, standbys: 1}", 1)
	a := l.start("processor", "a")
	address := fmt.Sprintf("127.0.0.1:%d", unusedPort(t))
	l.config = strings.Replace(l.config, "127.0.0.1:0", address, 1)
	b := l.start("processor", "b")
	ready := func() readyDetail {
		response, err := http.Get("http://" + address + "/readyz")
		if err != nil {
			return readyDetail{}
		}
		defer response.Body.Close()
		var page struct{ Detail readyDetail }
		if err := json.NewDecoder(response.Body).Decode(&page); err != nil {
			t.Error(err)
		}
		return page.Detail
	}
	warm := func() bool {
		detail := ready()
		for _, s := range detail.Standbys {
			if s.Phase != "following" || *s.Lag > 0 || s.Error != "" {
				return false
			}
		}
		return len(detail.Lanes) == 2 && len(detail.Standbys) == 2
	}
	l.waitFor("both have lanes and copies", warm)
	l.load(2, func(int) {})
	l.whole()
	time.Sleep(time.Second) // the lag is as of some seconds ago
	l.waitFor("the copies are warm", warm)
	var before int64
	for _, d := range ready().Lanes {
		before += d.Restored
	}
	a.kill()
	l.load(1, func(int) {})
	l.whole()
	detail, after := ready(), int64(0)
	for _, d := range detail.Lanes {
		after += d.Restored
	}
	if len(detail.Lanes) != 4 || len(detail.Standbys) != 0 || after-before > 100 {
		t.Errorf("%d records read to take two lanes over: %+v", after-before, detail)
	}
	b.stop()
}

// A state folder that may not be written any more ends the process, which says what to do; with the right back all is whole.
func TestLineReadOnlyState(t *testing.T) {
	t.Parallel()
	l := newLine(t, 4, "")
	p := l.start("processor", "a")
	l.load(1, func(int) {})
	l.whole()
	allow := l.protect(filepath.Join(l.dir, "state-a", "processor"))
	note := strings.Repeat("x", 100<<10) // what is in memory has to be written soon
	for n, ended := 0, false; !ended; n++ {
		l.event(fmt.Sprint("v-", n), "View", fmt.Sprintf(`{"note":%q}`, note))
		select {
		case <-p.ended:
			ended = true
		default:
			if n == 2000 {
				t.Fatal("it goes on though its state cannot be written")
			}
		}
	}
	said := p.output.String()
	if code := p.cmd.ProcessState.ExitCode(); code <= 0 || !strings.Contains(said, "cannot be written") || !strings.Contains(said, "give this user write access") {
		t.Errorf("exit code %d after\n%s", code, said[max(0, len(said)-1000):])
	}
	allow()
	p = l.start("processor", "a")
	l.load(1, func(int) {})
	l.whole()
	p.stop()
}

// protect takes the right to make and remove files in a folder away, from root too where the file system knows how to.
func (l *line) protect(folder string) (allow func()) {
	l.t.Helper()
	set := func(mode os.FileMode, attribute string) error {
		if os.Geteuid() != 0 {
			return os.Chmod(folder, mode)
		}
		return exec.Command("chattr", attribute, folder).Run()
	}
	if err := set(0o500, "+i"); err != nil {
		l.t.Skipf("root may write everywhere here: %v", err)
	}
	allow = func() {
		if err := set(0o700, "-i"); err != nil {
			l.t.Error(err)
		}
	}
	l.t.Cleanup(allow)
	return allow
}
