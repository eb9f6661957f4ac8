package value

// few is up to how many names duplicates are looked for by comparing all of them.
const few = 16

// compound reads the list or object that comes next, and keeps its canonical text.
func (r *Reader) compound(open byte) Value {
	start := r.at
	canonical := r.skip()
	if r.err != nil {
		return Value{}
	}
	v := Value{kind: List, text: r.text[start:r.at]}
	if open == '{' {
		v.kind = Object
	}
	if !canonical {
		again := NewReader(v.text)
		v.text = string(again.canonical(make([]byte, 0, len(v.text))))
	}
	return v
}

// skip passes over the next value and tells whether its text certainly is canonical.
func (r *Reader) skip() (canonical bool) {
	start := r.at
	c := r.peek()
	canonical = r.at == start
	switch c {
	case '{':
		return r.skipObject() && canonical
	case '[':
		return r.skipList() && canonical
	case '"':
		start = r.at
		s := r.string()
		return canonical && r.at-start == len(s)+2
	}
	r.Value()
	return canonical
}

func (r *Reader) skipList() bool {
	canonical := true
	r.EnterList()
	for {
		before := r.at
		r.peek()
		canonical = canonical && r.at == before
		if !r.NextElement() {
			return canonical
		}
		canonical = r.skip() && canonical
	}
}

func (r *Reader) skipObject() bool {
	var seen [few]string
	n, canonical := 0, true
	r.EnterObject()
	for {
		before, first := r.at, r.fresh
		name, ok := r.NextMember()
		if !ok {
			return canonical && r.at == before+1
		}
		length := len(`"":`) + len(name)
		if !first {
			length++
		}
		canonical = canonical && r.at == before+length && n < few
		for i := 0; canonical && i < n; i++ {
			canonical = seen[i] != name
		}
		if canonical {
			seen[n] = name
			n++
		}
		canonical = r.skip() && canonical
	}
}

// canonical appends the canonical text of the next value; the text is known to be valid.
func (r *Reader) canonical(dst []byte) []byte {
	switch r.peek() {
	case '{':
		return r.canonicalObject(dst)
	case '[':
		dst = append(dst, '[')
		first := true
		for r.EnterList(); r.NextElement(); first = false {
			if !first {
				dst = append(dst, ',')
			}
			dst = r.canonical(dst)
		}
		return append(dst, ']')
	}
	return r.Value().Append(dst)
}

// canonicalObject writes every member; where a name came twice it puts the last value in the first one's place.
func (r *Reader) canonicalObject(dst []byte) []byte {
	type member struct{ from, to int }
	var members []member
	var names index
	start, twice := len(dst), false
	for r.EnterObject(); ; {
		name, ok := r.NextMember()
		if !ok {
			break
		}
		from := len(dst) + 1
		dst = append(AppendString(append(dst, ','), name), ':')
		dst = r.canonical(dst)
		m := member{from, len(dst)}
		if i, found := names.place(name); found {
			members[i], twice = m, true
		} else {
			members = append(members, m)
		}
	}
	if len(members) == 0 {
		return append(dst, '{', '}')
	}
	if twice {
		var kept []byte
		for _, m := range members {
			kept = append(append(kept, ','), dst[m.from:m.to]...)
		}
		dst = append(dst[:start], kept...)
	}
	dst[start] = '{'
	return append(dst, '}')
}

// index numbers names in order of first appearance.
type index struct {
	names []string
	many  map[string]int
}

// place is the number of name, found if it had one before.
func (x *index) place(name string) (i int, found bool) {
	if x.many == nil {
		for i, n := range x.names {
			if n == name {
				return i, true
			}
		}
		x.names = append(x.names, name)
		if len(x.names) <= few {
			return len(x.names) - 1, false
		}
		x.many = make(map[string]int, 4*few)
		for i, n := range x.names {
			x.many[n] = i
		}
		return len(x.names) - 1, false
	}
	if i, found = x.many[name]; !found {
		i = len(x.many)
		x.many[name] = i
	}
	return i, found
}
