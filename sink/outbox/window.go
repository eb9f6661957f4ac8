package outbox

// Window says how far the position of a partition may go: to the first record that is neither ended nor kept in a row. The zero
// Window is empty.
type Window struct {
	entries []entry // in order of offset
	first   int     // of those that are not passed
	next    int64   // offset behind all that was added
}

type entry struct {
	offset int64
	done   bool
}

// Start sets the position of an empty window.
func (w *Window) Start(next int64) { w.next = next }

// Add notes a record that is in memory only.
func (w *Window) Add(offset int64) { w.entries = append(w.entries, entry{offset: offset}) }

// Passed notes that all records before next were added or need nothing.
func (w *Window) Passed(next int64) { w.next = next }

// Done says that a record is, from the next commit on, no longer in memory only. It is called once.
func (w *Window) Done(offset int64) {
	low, high := w.first, len(w.entries)
	for low < high {
		if mid := (low + high) / 2; w.entries[mid].offset < offset {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if low < len(w.entries) && w.entries[low].offset == offset {
		w.entries[low].done = true
	}
	for w.first < len(w.entries) && w.entries[w.first].done {
		w.first++
	}
	if w.first == len(w.entries) || w.first > 1024 && w.first > len(w.entries)/2 {
		w.entries = append(w.entries[:0], w.entries[w.first:]...)
		w.first = 0
	}
}

// Next is the offset behind all that was added or needs nothing.
func (w *Window) Next() int64 { return w.next }

// Position is the next offset to read after a crash.
func (w *Window) Position() int64 {
	if w.first < len(w.entries) {
		return w.entries[w.first].offset
	}
	return w.next
}
