// Package processor decides: it reads what users do from Kafka and writes what campaigns make of it.
//
// The life of a record:
//
//  1. A lane fetches it (state/lane): raw, read-committed, from the position in the changelog.
//  2. input.go merges the topics of one partition number by Kafka timestamp, and settles the record's arrival. A record whose schema
//     has not been fetched yet waits there, and all behind it.
//  3. registry.Reader decodes it by its schema, if it has one, and by the record.Envelope; one that cannot be read becomes a dead
//     letter of the same cycle.
//  4. users.go finds the user: open, in the rows of the cycle, else in the lane's.
//  5. campaign.User steps: first the timers that were due before the arrival, then the event. (processor/campaign)
//  6. What it decided becomes records in output.go; the user is now one of the cycle's touched ones.
//  7. Few users are open at a time: who is closed leaves rows to the cycle, and when the input is drained or the cycle is full, the others do.
//  8. lane.Commit produces records, rows and position in one transaction, and applies rows to Pebble only after it.
//  9. watermark.go asks the log ends; when the position reaches them, stream time moves to the moment of asking, and
//     what was due before it fires without an event (back to 5).
//  10. A cycle that was not committed is forgotten whole: the users in memory with it. The lane begins again at 1.
//
// Another set of campaigns (Follow) is taken up between two cycles (sets.go): its rows go with the first cycle that it decides, and users in
// memory are opened anew under it. Where a trigger changed, whoever is opened is rebuilt from their history first
// (campaign/rebuild.go), and a walk over the partition (walk.go) opens those of whom nothing comes.
//
// Guarantees: the committed triggers and decisions are those of one run of the core over the input in offset order; a
// timer fires only when all that was appended before its deadline has been applied; a bad record stops nothing.
//
// Non-obvious:
//   - What is decoded of a record points into it: the core copies what it keeps (campaign's room), and a record is recycled behind its
//     step, so that its memory is the next one's.
//   - The log end is asked for, not the high watermark: with a dead follower the latter is seconds behind.
//   - Stream time comes from the wall clock at asking, never from timestamps in records: one dated in the future moves nothing.
//   - The wall clock is held against the broker's append times; the earlier one counts (watermark.go).
//   - The lane's first commit, before the loop, writes only its positions: its append time tells the broker's clock before any
//     timer fires.
//   - Where topics are merged, a record that a broker stamped waits until another topic's end was asked for a little later than it was
//     polled: a record may be stamped before that and come to its log after it. One topic alone waits for nothing.
//   - A record that the broker stamped keeps its timestamp as its arrival though this machine's clock be behind: only so does
//     every run over the topic decide the same.
//   - A client gives a record up whose timestamp is older than its delivery timeout: triggers carry this machine's clock, not
//     the broker's.
//   - What a rebuild makes does not depend on when the user is opened, as long as that is before the next set that has users rebuilt: this
//     one waits for the walk's end. Sets that rebuild nothing, such as one that pauses a campaign, do not wait.
//   - Timers that were due before the stream time of the change have fired under the former trigger; those due later are open under
//     the new one. A user may have been further, by a record of theirs: their row says up to when. Where a cycle has left timers
//     that were due, the first of the user's is the border.
//   - A lane that is taken anew after an abort was not taken over: it takes up what this process was told to follow before.
//   - What a step counts is added to the metrics at the commit: a cycle that is done again would count twice.
package processor
