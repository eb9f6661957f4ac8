package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// traps are what has gone wrong in other engines, and the tests here that fail where it is put back, as was tried with each. A test is
// named by its folder; those with Kafka in their names need Apache Kafka. Where a trap is a race there, they meet it by chance: a transactional
// id of each process's own, and a restore to the last stable offset, passed them once, and it is the others that fail for certain.
var traps = []struct {
	trap  string
	tests []string
}{
	{"a store written before the commit: a crash replays or doubles", []string{"state/lane.TestAbortDropsAll", "state/lane.TestUnknownOutcome"}},
	{"a checkpoint file beside the store, or a position in a batch of its own (KAFKA-20685)", []string{"state.TestOneBatch"}},
	{"a restore that stops at the last stable offset (KAFKA-10167)", []string{"state/lane.TestRestoreToTheLogEnd", "state/lane.TestWarmRestartOnKafka"}},
	{"commit markers take offsets and are never returned", []string{"state/lane.TestDisks", "processor.TestForeignTransaction"}},
	{"a reset policy that hides a hole in the changelog, or in the input", []string{"state/lane.TestUnusableDisk", "processor.TestGap"}},
	{"a commit of nothing polled is fenced by nobody", []string{"state/lane.TestZombie", "cmd/tripline.TestKafkaTimersOnlyZombie"}},
	{"a restore before the old owner is fenced", []string{"state/lane.TestTakenInACycle"}},
	{"a TxnOffsetCommit that opens a transaction nobody ends", []string{"state/lane.TestNoOffsetsInTransactions"}},
	{"state older than tombstones are kept (KIP-1259)", []string{"state/lane.TestUnusableDisk"}},
	{"a record dated in the future moves arrivals, or stream time (KIP-1334)", []string{"processor.TestFutureRecord"}},
	{"wall-clock timers while the consumer lags", []string{"processor.TestBacklogAfterAnOutage", "processor.TestStreamTime"}},
	{"windows that close only with the next event", []string{"processor.TestTimerWithoutEvents", "processor.TestSilentTopic"}},
	{"walking over what has fired, a bound that is not kept, entries that are never deleted", []string{"state.TestFirstLook"}},
	{"an open transaction that holds readers up: cycles without a bound", []string{"processor.TestCyclesAreBounded", "processor.TestCyclesEndWithinWhatIsAtHand", "processor.TestBurst"}},
	{"the same: a transaction timeout above 15 s", []string{"state/lane.TestConfig", "state/lane.TestTransactionTimeout"}},
	{"an End that is cut off, or a client that is kept after an error of it", []string{"state/lane.TestStopEndsTheCycle", "processor.TestAborted"}},
	{"an unknown outcome that is guessed (KIP-890)", []string{"state/lane.TestUnknownOutcome", "processor.TestAborted"}},
	{"a dead letter larger than a topic takes", []string{"processor.TestDeadLetters", "processor.TestLetterIsBounded"}},
	{"an active segment that never compacts", []string{"state/lane.TestChangelogCompacts"}},
	{"Pebble's defaults, and its log", []string{"state.TestOptions"}},
	{"what a crash without a write-ahead log leaves", []string{"state.TestCrash", "state.TestOneBatch"}},
	{"the high watermark in place of the log end", []string{"processor.TestWatermarkBehindTheLogEnd", "cmd/tripline.TestKafkaFrozenFollower"}},
	{"an answer of an older leader epoch", []string{"state/lane.TestEndsOfALeaderThatMovesMeanwhile", "state/lane.TestEndsOfMovedLeaders"}},
	{"stream time that passes a foreign open transaction", []string{"processor.TestForeignTransaction", "processor.TestStreamTimeIsKept"}},
	{"an in-process broker that shows no races of markers", []string{"cmd/tripline.TestChaosKafka", "state/lane.TestChurnOnKafka"}},
	{"a record that is too large aborts its cycle for ever", []string{"processor/campaign/record.TestTriggerIsBounded", "processor/campaign/record.TestTriggerShowsTheNewestEvents", "processor/campaign/record.TestDecisionIsBounded", "state.TestRecordsAreBounded", "processor.TestProfileIsBounded"}},
	{"a machine whose clock is ahead, or behind", []string{"processor.TestClockAhead", "processor.TestClockBehind", "cmd/tripline.TestKafkaClock"}},
	{"partial matches without bound", []string{"processor/campaign.TestMaxOpen", "processor/campaign.TestMaxOpenHolds", "processor/campaign.TestMaxOpenGoals"}},
	{"a record of another topic that is stamped before and comes to its log after", []string{"processor.TestMergeLeavesRoomForTheRace"}},
	{"a transaction that ends before the client has stored the partitions it wrote to", []string{"state/lane.TestTransactionWaitsForPartitions"}},
	{"rows without a position that says what they stand for", []string{"state/lane.TestChangelogWithoutPosition"}},
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
