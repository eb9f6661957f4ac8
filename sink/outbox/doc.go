// Package outbox is the durable half of the sink: what waits, what has ended and who was erased, as rows of one partition's
// state.
//
// A Book is a partition's rows as its lane sees them: what is applied, what is being committed and what is to be committed
// next, the later over the earlier. It decides nothing and sends nothing.
//
//	e<user>        a user was erased: offset of the tombstone in `triggers`
//	q<endpoint>    part 0: how many deliveries wait, and where its two queues begin and end
//	               part n: keys of deliveries that are due but had no room in memory, in order
//	s<batch>       part 0: how many members of a batch have not left it; part 1: the keys of all
//	t<endpoint,user> part 0: which deliveries of a user to an endpoint keep an order
//	               part n: the key of one of them
//	w<delivery>    part 0: a delivery that waits, with its timer and its trigger's record; part 1: that record where it is large
//	x<delivery>    a delivery that has ended; its timer ends what is known of it
//
// A delivery's key is its trigger's id, or <id>.<n> for its n-th replay: ids have no dot in them.
//
// Non-obvious:
//   - Rows that wait come before rows that have ended in the order of keys. A walk over what waits stops there, and does not
//     see the many ids that have ended within a day.
//   - A timer that is due is taken at once: into memory, or into its endpoint's queue. So a thousand deliveries that are due at
//     an endpoint that hangs are not in the way of the first one of another endpoint.
//   - What is behind others of its user has no timer but the first of them, which may be the next to go ahead. So a million that are
//     behind cost nothing while they are.
//   - A queue's rows hold up to 256 keys. One is deleted when none of its deliveries is in memory or in the queue any more, so
//     that a crash finds all of them again.
package outbox
