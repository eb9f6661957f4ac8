// Package lane is the Kafka half of state: it gives a process its share of the
// input's partitions, takes each share over from whoever had it, restores its
// state, and commits what the caller decided in one transaction.
//
// A lane is every partition, over all input topics, whose number modulo the
// number of lanes is the lane's. It is the unit of assignment, has one
// transactional id, one cycle at a time, and runs beside the process's other
// lanes in a goroutine of its own.
//
// The life of a lane, in the order that its guarantees rest on:
//
//  1. The group (classic protocol, static membership, cooperative) assigns it.
//     The group only assigns: its offsets are written for lag tools and never
//     read, and its generation fences nothing.
//  2. Fence. InitProducerID under "<group>-<lane>" ends the old owner's open
//     transaction and makes each later write of it fail.
//  3. Restore. The changelog is read, read-committed, up to its end as seen
//     after fencing: its tail from the local position, or all of it into a
//     wiped partition when the local state cannot be continued.
//  4. Loop. The caller polls records from the position in the changelog, steps
//     them, and commits. Commit produces records, rows and position in one
//     transaction, and only when it is known to be committed applies the rows
//     to the store, in one batch with the position.
//  5. An aborted transaction or an unknown outcome ends the loop with
//     [ErrAborted]. The caller forgets what it has in memory and returns; the
//     lane goes back to step 2 with a new client and calls Loop again. What the
//     transaction came to is read from the changelog, not guessed.
//
// So a committed cycle is in the changelog, and after a crash the changelog's
// tail brings the store up to it; an aborted one is nowhere.
package lane
