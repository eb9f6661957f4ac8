package history

import "slices"

// parts is what a log has outside of its head.
type parts struct {
	load    func(n uint32) []byte
	stored  []uint32 // that the caller knows of, in order
	changed []part   // since it asked last, in order
}

type part struct {
	n       uint32
	content []byte // nil: deleted
}

func comparePart(p part, n uint32) int { return int(int64(p.n) - int64(n)) }

func (p *parts) change(n uint32, content []byte) {
	i, found := slices.BinarySearchFunc(p.changed, n, comparePart)
	if !found {
		p.changed = slices.Insert(p.changed, i, part{n: n})
	}
	p.changed[i].content = content
}

// delete forgets a part that the caller has not seen, and has the others deleted.
func (p *parts) delete(n uint32) {
	if _, found := slices.BinarySearch(p.stored, n); found {
		p.change(n, nil)
	} else if i, found := slices.BinarySearchFunc(p.changed, n, comparePart); found {
		p.changed = slices.Delete(p.changed, i, i+1)
	}
}

// emit hands the changes over.
func (p *parts) emit(to func(n uint32, content []byte)) {
	for _, c := range p.changed {
		i, found := slices.BinarySearch(p.stored, c.n)
		switch {
		case c.content == nil && found:
			p.stored = slices.Delete(p.stored, i, i+1)
		case c.content != nil && !found:
			p.stored = slices.Insert(p.stored, i, c.n)
		}
		to(c.n, c.content)
	}
	p.changed = nil
}

// content is that of a part, as written here or else as the caller has it.
func (p *parts) content(n uint32) []byte {
	if i, found := slices.BinarySearchFunc(p.changed, n, comparePart); found {
		return p.changed[i].content
	}
	if p.load == nil {
		return nil
	}
	return p.load(n)
}
