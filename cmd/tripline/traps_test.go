package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// traps are what has gone wrong in other engines, and the tests here that fail where it is put back. A test is named by its
// folder; those of names with Kafka in them need Apache Kafka.
var traps = []struct {
	trap  string
	tests []string
}{
	{"a store written before the commit: a crash replays or doubles", []string{"state/lane.TestCrashAroundEnd", "state/lane.TestAbortDropsAll"}},
	{"a checkpoint file beside the store (KAFKA-20685)", []string{"state.TestCrash", "state/lane.TestDisks"}},
	{"a restore that stops at the last stable offset (KAFKA-10167)", []string{"state/lane.TestTakenInACycle", "state/lane.TestWarmRestartOnKafka"}},
	{"commit markers take offsets and are never returned", []string{"state/lane.TestAbortAtTheEnd", "processor.TestPositionOverMarkers"}},
	{"a reset policy that hides a hole in the changelog", []string{"state/lane.TestUnusableDisk", "state.TestRestoreHole", "processor.TestGap"}},
	{"a commit of nothing polled is fenced by nobody", []string{"state/lane.TestZombie", "cmd/tripline.TestKafkaTimersOnlyZombie"}},
	{"a TxnOffsetCommit that opens a transaction nobody ends", []string{"state/lane.TestNoOffsetsInTransactions"}},
	{"state older than tombstones are kept (KIP-1259)", []string{"state/lane.TestUnusableDisk"}},
	{"a record dated in the future (KIP-1334)", []string{"processor.TestFutureRecord", "processor.TestStreamTimeIsNotFromRecords"}},
	{"wall-clock timers while the consumer lags", []string{"processor.TestBacklogAfterAnOutage", "processor.TestStreamTimeUnderALag"}},
	{"windows that close only with the next event", []string{"processor.TestTimerWithoutEvents", "processor.TestSilentTopic"}},
	{"walking over what has fired", []string{"state.TestFirstLook"}},
	{"an open transaction that holds readers up", []string{"processor.TestBurst", "state/lane.TestForeignTransaction", "cmd/tripline.TestKafkaForeignTransaction"}},
	{"an End that is cut off leaves the client unusable", []string{"state/lane.TestUnknownOutcome", "state/lane.TestStopEndsTheCycle"}},
	{"a delayed transaction hits the next (KIP-890)", []string{"state/lane.TestUnknownOutcome", "processor.TestAborted"}},
	{"a dead letter larger than a topic takes", []string{"processor.TestDeadLetters", "processor.TestLetterIsBounded"}},
	{"an active segment that never compacts", []string{"state/lane.TestChangelogCompacts"}},
	{"Pebble's defaults", []string{"state.TestOptions"}},
	{"what a crash without a write-ahead log leaves", []string{"state.TestCrash"}},
	{"the high watermark in place of the log end", []string{"cmd/tripline.TestKafkaFrozenFollower", "state/lane.TestForeignTransaction"}},
	{"an in-process broker that shows no races of markers", []string{"cmd/tripline.TestChaosKafka", "state/lane.TestChurnOnKafka"}},
	{"a record that is too large aborts its cycle for ever", []string{"processor/campaign/record.TestTriggerIsBounded", "processor/campaign/record.TestDecisionIsBounded"}},
	{"a machine whose clock is ahead", []string{"processor.TestClockAhead", "state/lane.TestAhead"}},
	{"partial matches without bound", []string{"processor/campaign.TestMaxOpen"}},
	{"an input that was made anew", []string{"state/lane.TestRecreatedInput"}},
}

// Each trap names tests that exist.
func TestTraps(t *testing.T) {
	for _, trap := range traps {
		for _, name := range trap.tests {
			folder, function, _ := strings.Cut(name, ".")
			files, err := filepath.Glob(filepath.Join("../..", folder, "*_test.go"))
			if err != nil {
				t.Fatal(err)
			}
			found := false
			for _, file := range files {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				found = found || strings.Contains(string(text), "\nfunc "+function+"(t *testing.T)")
			}
			if !found {
				t.Errorf("%s: there is no test %s", trap.trap, name)
			}
		}
	}
}
