package value

import (
	"slices"
	"strings"
)

// Property is a named value of an event or a profile.
type Property struct {
	Name  string
	Value Value
}

// Properties have unique names and stand in order of first appearance. They are not changed in place once made.
type Properties []Property

// Properties reads the object that comes next; null values are kept, of duplicate names the last value.
func (r *Reader) Properties() Properties {
	var room [few]Property
	p := Properties(room[:0])
	var names index
	r.EnterObject()
next:
	for {
		name, ok := r.NextMember()
		if !ok {
			break
		}
		v := r.Value()
		if len(p) < few {
			for i := range p {
				if p[i].Name == name {
					p[i].Value = v
					continue next
				}
			}
		} else {
			if len(names.names) == 0 {
				for i := range p {
					names.place(p[i].Name)
				}
			}
			if i, found := names.place(name); found {
				p[i].Value = v
				continue
			}
		}
		p = append(p, Property{name, v})
	}
	if r.err != nil || len(p) == 0 {
		return nil
	}
	return append(make(Properties, 0, len(p)), p...)
}

// Get is the value of that name, Nil if there is none.
func (p Properties) Get(name string) Value {
	for i := range p {
		if p[i].Name == name {
			return p[i].Value
		}
	}
	return Value{}
}

// Has tells whether there is a property of that name, null or not.
func (p Properties) Has(name string) bool {
	for i := range p {
		if p[i].Name == name {
			return true
		}
	}
	return false
}

// Merge lays patch over p, key by key: a null removes the key. The result is p itself if nothing changes, otherwise a
// new slice; it does not keep the text alive that patch was parsed from.
func (p Properties) Merge(patch Properties) Properties {
	merged, owned, removed := p, false, false
	place := p.placer(len(patch))
	for _, change := range patch {
		i := place(change.Name)
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

// placer finds the place of a name in p, -1 if it has none; it is asked so many times.
func (p Properties) placer(times int) func(name string) int {
	if len(p) <= few || times <= 1 {
		return func(name string) int {
			return slices.IndexFunc(p, func(property Property) bool { return property.Name == name })
		}
	}
	places := make(map[string]int, len(p))
	for i := range p {
		places[p[i].Name] = i
	}
	return func(name string) int {
		if i, found := places[name]; found {
			return i
		}
		return -1
	}
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
