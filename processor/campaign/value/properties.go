package value

import (
	"slices"
	"strings"
	"unsafe"
)

// Property is a named value of an event or a profile.
type Property struct {
	Name  string
	Value Value
}

// Properties have unique names and stand in order of first appearance. They are not changed in place once made.
type Properties []Property

// Properties reads the object that comes next; null values are kept, of duplicate names the last value.
func (r *Reader) Properties() Properties { return r.properties(nil) }

// PropertiesIn is Properties that stand behind those of room, as long as there is room. The rest of the room is returned with it; what
// stands in it is not changed.
func (r *Reader) PropertiesIn(room Properties) (p, rest Properties) {
	if p = r.properties(room[len(room):]); len(p) == 0 {
		return nil, room
	}
	if n := len(room) + len(p); n <= cap(room) {
		return p[:len(p):len(p)], room[:n]
	}
	return p, room
}

// properties reads the object that comes next into p, which is empty.
func (r *Reader) properties(p Properties) Properties {
	var places map[string]int // once there are many
	var marks uint64
	for r.EnterObject(); ; {
		name, ok := r.NextMember()
		if !ok {
			break
		}
		if p == nil {
			p = make(Properties, 0, min(few/2, 1+(len(r.text)-r.at)/20)) // a property takes about 20 bytes
		}
		v := r.Value()
		// Names that differ in length or ends mostly have bits of their own; who sets a new one is new.
		bit := uint64(1) << (mark(name) % 64)
		if marks&bit != 0 {
			if i := p.find(name, places); i >= 0 {
				p[i].Value = v
				continue
			}
		}
		marks |= bit
		switch {
		case places != nil:
			places[name] = len(p)
		case len(p) == few:
			places = p.places()
			places[name] = len(p)
		}
		p = append(p, Property{name, v})
	}
	if r.err != nil {
		return nil
	}
	return p
}

// mark is a number that is mostly different for the names of one object.
func mark(name string) int {
	if name == "" {
		return 0
	}
	return len(name) + 5*int(name[0]) + 3*int(name[len(name)-1])
}

// place is where a name stands in p, -1 if it does not.
func (p Properties) place(name string) int {
	for i := range p {
		if p[i].Name == name {
			return i
		}
	}
	return -1
}

// find is place, by the map once there is one.
func (p Properties) find(name string, places map[string]int) int {
	if places == nil {
		return p.place(name)
	}
	if i, found := places[name]; found {
		return i
	}
	return -1
}

func (p Properties) places() map[string]int {
	places := make(map[string]int, len(p)+few)
	for i := range p {
		places[p[i].Name] = i
	}
	return places
}

// Get is the value of that name, Nil if there is none.
func (p Properties) Get(name string) Value {
	if i := p.place(name); i >= 0 {
		return p[i].Value
	}
	return Value{}
}

// Has tells whether there is a property of that name, null or not.
func (p Properties) Has(name string) bool { return p.place(name) >= 0 }

// Merge lays patch over p, key by key: a null removes the key. The result is p itself if nothing changes, otherwise a
// new slice; it does not keep the text alive that patch was parsed from.
func (p Properties) Merge(patch Properties) Properties {
	merged, owned, removed := p, false, false
	var places map[string]int
	if len(p) > few && len(patch) > 1 {
		places = p.places()
	}
	for _, change := range patch {
		i := p.find(change.Name, places)
		if i < 0 && change.Value.IsNil() || i >= 0 && p[i].Value == change.Value {
			continue
		}
		if !owned {
			merged, owned = append(make(Properties, 0, len(p)+len(patch)), p...), true
		}
		change.Value.text = strings.Clone(change.Value.text)
		if i < 0 {
			merged = append(merged, Property{strings.Clone(change.Name), change.Value})
			continue
		}
		merged[i].Value = change.Value
		removed = removed || change.Value.IsNil()
	}
	if removed {
		merged = slices.DeleteFunc(merged, func(property Property) bool { return property.Value.IsNil() })
	}
	return merged
}

// Append writes the properties as a JSON object.
func (p Properties) Append(dst []byte) []byte {
	dst = append(dst, '{')
	for i := range p {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(AppendString(dst, p[i].Name), ':')
		dst = p[i].Value.Append(dst)
	}
	return append(dst, '}')
}

// Bytes is how many bytes Append writes; of what surely takes no more than enough, only a bound of that.
func (p Properties) Bytes(enough int) int {
	most := len(`{}`)
	for i := range p {
		most += escaped*len(p[i].Name) + max(escaped*len(p[i].Value.text), longest) + len(`"":"",`)
	}
	if most <= enough {
		return most
	}
	return len(p.Append(nil))
}

const (
	escaped = 6  // the most bytes that one of a text becomes
	longest = 32 // the most bytes of a value without a text
)

// Clone appends p to dst, with its text in room, and returns both. What it appends keeps nothing of p alive.
func (p Properties) Clone(dst Properties, room []byte) (all Properties, text []byte) {
	for i := range p {
		c := p[i]
		c.Name, room = Keep(room, c.Name)
		c.Value.text, room = Keep(room, c.Value.text)
		dst = append(dst, c)
	}
	return dst, room
}

// What memory for texts is taken by, bytes.
const leastRoom, mostRoom = 64, 1024

// Keep is a copy of s in room, in new memory where there is no place left in it, and room with the copy.
func Keep(room []byte, s string) (text string, with []byte) {
	if s == "" {
		return "", room
	}
	if cap(room)-len(room) < len(s) {
		room = make([]byte, 0, max(len(s), min(2*cap(room), mostRoom), leastRoom))
	}
	at := len(room)
	room = append(room, s...)
	return Borrow(room[at:]), room
}

// Borrow is b as a text, without a copy: it holds as long as nobody changes b.
func Borrow(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
