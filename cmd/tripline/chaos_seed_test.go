//go:build synctests

package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
)

var (
	chaosSeeds = flag.Int("seeds", 2, "how many seeds TestChaos runs")
	chaosFrom  = flag.Uint64("from", 1, "the first of them")
	chaosTwice = flag.Int("twice", 1, "of how many seeds TestChaos compares two runs, where it is built for that")
	chaosTrace = flag.String("trace", "", "what the name of a file for the course of each seed's run begins with")
	chaosSeed  = flag.Uint64("seed", 0, "the seed of TestChaosSeed")
)

// TestChaos runs simulations, each in a process of its own.
//
// With the tag exact and the overlay of deploy/chaos (make chaos has both) a seed decides everything: the campaigns, the load, the
// faults, and which goroutine goes on when several could. Two runs have the same course, and a seed that failed fails again. Without
// them, as in make test, where the race detector looks on, several goroutines run at a time, and only the first three are decided.
func TestChaos(t *testing.T) {
	t.Parallel()
	for n := range *chaosSeeds {
		seed := *chaosFrom + uint64(n)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			sum := runSeed(t, seed, "")
			if !exact || n >= *chaosTwice || t.Failed() {
				return
			}
			if again := runSeed(t, seed, "-again"); again != sum {
				t.Errorf("two runs of the seed differ: %s and %s; make chaos SEEDS=1 FROM=%d TRACE=/tmp/chaos writes both courses", sum, again, seed)
			}
		})
	}
}

var (
	courseSum    = regexp.MustCompile(`course [0-9a-f]{16} of [0-9]+ lines`)
	courseCounts = regexp.MustCompile(`[0-9]+ events, .*`)
)

// runSeed runs a seed and returns the sum of its course.
func runSeed(t *testing.T, seed uint64, suffix string) string {
	args := []string{"-test.v", "-test.timeout=0", "-test.run=^TestChaosSeed$", fmt.Sprint("-seed=", seed)}
	if *chaosTrace != "" {
		args = append(args, fmt.Sprintf("-trace=%s-%d%s", *chaosTrace, seed, suffix))
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	process := exec.Command(self, args...)
	if exact {
		// Where things are in memory depends on the environment too.
		process.Env = []string{"GOMAXPROCS=1", "GOGC=off", "GOMEMLIMIT=2GiB", "GODEBUG=asyncpreemptoff=1", "TZ=UTC", "TMPDIR=" + os.TempDir()}
	}
	out, err := process.CombinedOutput()
	if err != nil {
		t.Errorf("%v: make chaos SEEDS=1 FROM=%d\n%s", err, seed, out)
		return ""
	}
	sum := courseSum.FindString(string(out))
	if sum == "" {
		t.Errorf("no course:\n%s", out)
	}
	t.Logf("seed %d: %s: %s", seed, sum, courseCounts.Find(out))
	return sum
}

// TestChaosSeed is the whole line in one bubble of fake time: three brokers, three processors, two sinks and three receivers (one in
// an order, one in batches),
// random campaigns (twin.Crowd) and load, and faults of all that can be simulated. In the end everything must be whole; see
// chaos_whole_test.go.
func TestChaosSeed(t *testing.T) {
	if *chaosSeed == 0 {
		t.Skip("TestChaos runs it, by seed")
	}
	cryptotest.SetGlobalRandom(t, *chaosSeed)
	c := newCrowd(t, *chaosSeed)
	course, err := newCourse(*chaosTrace)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		w := newChaos(t, *chaosSeed, c, course)
		w.run()
		w.whole()
		w.close()
	})
	if err := course.end(); err != nil {
		t.Fatal(err)
	}
	t.Log(course)
	if t.Failed() {
		t.Logf("the campaigns:\n%s", c.text)
	}
}
