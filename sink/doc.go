// Package sink reads `triggers`, sends webhooks, and writes `deliveries`.
//
// # The life of a delivery
//
//  1. lane.go polls a record; admit.go reads it (package intake), asks the outbox whether it is known, and finds its endpoint's outlet.
//  2. outlet.go has two queues in memory and as many goroutines as attempts may be in flight: first attempts go before retries,
//     and half of the places are not for retries. What has no room goes into the endpoint's queue in state.
//     policy.Gate holds them back: rate, breaker, pause.
//  3. attempt.go renders the request (package request), sends it (package call) and judges the answer (package policy). It tells
//     the lane; it decides nothing that has to be committed.
//  4. cycle.go turns that into a record of `deliveries`, and a row: a wait with its timer, or a note that it has ended. What
//     failed becomes a dead letter.
//  5. It commits records, rows and position in one transaction (package state/lane), beside everything else.
//  6. order.go lets the deliveries of one user to an endpoint with `order: user` go one after another: what is behind others waits in rows.
//  7. batch.go lets deliveries go together where the endpoint has it so: who is in a batch is in committed rows before it is sent.
//  8. admit.go takes what is due out of its row, and what waits for room out of its queue; sweep.go finds what must not wait any
//     longer: of erased users, of endpoints that have gone, of more than may wait.
//
// # Guarantees
//
//   - A delivery that was consumed either holds the position back, for half a second, or has a row. A crash at any moment brings
//     it back; an attempt whose outcome was not committed is made again, with the same webhook-id.
//   - A delivery's final record and the note that it has ended are one transaction. A trigger never has two final records for one
//     replay number, nor none.
//   - An attempt in flight holds back nobody's record, and no endpoint another one's attempts. Memory is bounded by endpoint.
//
// # Non-obvious
//
//   - What comes for an endpoint that takes thousands a second is left in `triggers` for the moment until it has room, since a row would
//     cost more than the attempt. One that has not been so quick for 1.5 s, or has answered nothing for 0.3 s, keeps nobody waiting.
//   - What comes behind such a trigger is read ahead, where the reading of its partition has stood still now and then for 0.25 s: by another
//     client, which takes what is for others and drops the rest. The reader that has the position comes to all of it again, and knows
//     what was taken: it is in hand, waits, or has ended. Until then the position stands before it, and a crash does the same.
//   - The position may stand before records that have ended already. A crash reads them again, and they are skipped as known.
//   - A record that is no trigger has no id by which to know it. Its dead letter waits for the position to go over it.
//   - A flight's timer stays in the index while it is in memory: its row may say that it is due, and the crash that loses the
//     memory finds it so. Whoever asks for due timers looks at each once, and again only when its row is written, so that a thousand
//     attempts that hang are no work for the lane.
//   - Erasure is noted in a row until nothing of the user is left in rows or memory: the walk that looks for it may be cut short.
//   - A batch has the same members and the same webhook-id on every attempt, over crashes too. Where one of them ends while it waits
//     (erased, expired, too many), the rest is another batch with another id, and with their place in the schedule.
//   - The members of a batch are of one partition: no transaction of another one has a say in it.
//   - A 410 holds for the endpoint as it was configured: the control record names a print of method, url and auth. Of secrets it
//     has eight bits of a hash, by which no guess can be confirmed; so one change of a secret in 256 goes unseen, and
//     `tripline endpoint resume` tries again.
//   - A Retry-After of five seconds or more is told to the group in the transaction of the attempt that met it, under a key of its own in the
//     control topic: the other sinks, and one that starts, send nothing before either.
//   - A 401 to a token is followed by one more try at once, with another token. It takes no place in the schedule.
//   - A W3C traceparent, with its tracestate, goes from an event's record to the trigger that the event has completed, and from there into
//     every attempt and the dead letter. What a timer has fired, and a batch, has none: no one event is its cause.
package sink
