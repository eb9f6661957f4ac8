// Package state keeps the keyed rows of partitions in Pebble, with a timer
// index over them and the position that they stand for. It knows bytes, not
// campaigns, and nothing of Kafka but the form of changelog records.
//
// # The life of a row
//
// A lane's loop reads rows with Get and finds due timers with Due. What it
// decides to change it hands, as rows, first to Kafka in the form that
// Partition.Changelog and Position.Record give, and only when that transaction
// is known to be committed to Partition.Apply. Apply keeps several cycles in
// memory, where reads see them, and writes them with the newest position as one
// batch.
//
// # Guarantees
//
//   - Rows, timer index and position change together. After a crash a partition
//     is exactly what it was after some Apply, and Position says which; the
//     changelog from Position().Changelog on has the rest.
//   - Restoring the changelog, whole or from a position on, gives the rows that
//     were applied.
//   - Finding the first due timer costs the same however many have fired.
//   - What cannot be read is an error that says so (ErrDamaged, ErrNewer), never
//     a missing row.
//
// # Non-obvious
//
//   - There is no write-ahead log. It would only keep batches that the changelog
//     has as well; without it a crash loses a suffix of the batches of the store.
//   - An index entry may stand earlier than its row is due, or belong to a row
//     that is not due at all: moving a timer later, or ending it, writes nothing
//     to the index. Due looks at the row before it believes an entry.
//   - A timer set below the bound stands right behind it, with its own due as the
//     value: the bound never goes back, or all that is used up would be walked.
//   - Index entries are never deleted one by one. The bound, which is kept with
//     the position, says up to where they are used up; whole ranges below it are
//     deleted at once.
//   - What is applied and what was used last is on one shelf (shelf.go), as bytes in
//     chunks: a map of rows would be the collector's work at every collection.
//   - A restore from nothing replaces the partition in one step and is durable;
//     it is the one thing that is not in order with the batches of others.
//   - Wiping cuts tables without reading them. Where it has to read one that is
//     damaged, it takes the other partitions of that table with it, and these say
//     ErrDamaged until they are wiped too.
//   - Pebble retries a flush on a full disk without a pause and ends the process
//     where the write is to its manifest. So a write that finds the disk full
//     waits for room, and Apply refuses meanwhile.
package state
