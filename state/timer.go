package state

// Timer is a row whose Due has come.
type Timer struct {
	Due int64 // ms since the epoch
	ID  string
}

// Known sets how the partition learns the Due of a head as last applied without
// reading the row: a caller that keeps rows in memory answers for those it has,
// others are read. due is called from within Due and must not call the
// partition. An answer that is not the applied Due loses the timer.
func (p *Partition) Known(due func(id string) (ms int64, ok bool)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known = due
}

// Due appends to dst up to limit timers whose Due is below before (ms), in order
// of Due, then ID: a view of what is applied, the same at every call until an
// Apply changes these rows. Its cost does not grow with the timers that have
// fired.
func (p *Partition) Due(before int64, limit int, dst []Timer) ([]Timer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.due(before, limit, dst)
}

// NextDue returns a moment (ms) before which no timer is due; after a Due that
// returned nothing it is at or after that call's before. ok is false if there is
// no timer at all.
func (p *Partition) NextDue() (ms int64, ok bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.nextDue()
}
