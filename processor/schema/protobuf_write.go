package schema

import (
	"slices"
	"strings"

	"github.com/bufbuild/protocompile/linker"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// protobufWriter writes messages as JSON. It follows the mapping of Protobuf's specification (https://protobuf.dev/programming-guides/json/)
// but for two things: 64-bit numbers are numbers, since conditions compare them, and fields have the names of the .proto file unless
// it gives them a JSON name.
type protobufWriter struct {
	*writer
	types linker.Resolver
}

func (w *protobufWriter) message(m protoreflect.Message) error {
	if write := wellKnown(m.Descriptor()); write != nil {
		return write(w, m)
	}
	if err := w.enter('{'); err != nil {
		return err
	}
	if err := w.fields(m); err != nil {
		return err
	}
	w.leave('}')
	return nil
}

// fields writes what is set, and of fields without presence also what is zero.
func (w *protobufWriter) fields(m protoreflect.Message) error {
	all := m.Descriptor().Fields()
	for i := range all.Len() {
		f := all.Get(i)
		name, wanted := w.named(f)
		if !m.Has(f) && (f.HasPresence() || wanted) {
			continue
		}
		if err := w.member(name, f, m.Get(f)); err != nil {
			return err
		}
	}
	var extensions []protoreflect.FieldDescriptor
	m.Range(func(f protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		if f.IsExtension() {
			extensions = append(extensions, f)
		}
		return true
	})
	slices.SortFunc(extensions, func(a, b protoreflect.FieldDescriptor) int { return int(a.Number()) - int(b.Number()) })
	for _, f := range extensions {
		if err := w.member("["+string(f.FullName())+"]", f, m.Get(f)); err != nil {
			return err
		}
	}
	return nil
}

// named is what a field is called, and whether the envelope looks for it.
func (w *protobufWriter) named(f protoreflect.FieldDescriptor) (name string, wanted bool) {
	own, json := string(f.Name()), f.JSONName()
	for _, path := range w.paths {
		first, _, inside := strings.Cut(path, ".")
		if path == own || path == json {
			return path, true
		}
		if first == own || first == json {
			name, wanted = first, !inside
		}
	}
	switch {
	case name != "":
		return name, wanted
	case json != camel(own):
		return json, false
	}
	return own, false
}

// camel is the JSON name of a field that is given none.
func camel(name string) string {
	var b strings.Builder
	up := false
	for i := range len(name) {
		c := name[i]
		if c == '_' {
			up = true
			continue
		}
		if up && 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		b.WriteByte(c)
		up = false
	}
	return b.String()
}

func (w *protobufWriter) member(name string, f protoreflect.FieldDescriptor, v protoreflect.Value) error {
	if err := w.name(name); err != nil {
		return err
	}
	outer := w.paths
	if len(outer) > 0 {
		w.paths = inside(outer, name)
	}
	err := w.any(f, v)
	w.paths = outer
	return err
}

// inside are the paths that go on behind a name.
func inside(paths []string, name string) (deeper []string) {
	for _, path := range paths {
		if rest, ok := strings.CutPrefix(path, name+"."); ok {
			deeper = append(deeper, rest)
		}
	}
	return deeper
}

// any writes a field's value: one, a list of them, or a map.
func (w *protobufWriter) any(f protoreflect.FieldDescriptor, v protoreflect.Value) error {
	switch {
	case f.IsMap():
		return w.mapping(f, v.Map())
	case !f.IsList():
		return w.single(f, v)
	}
	if err := w.enter('['); err != nil {
		return err
	}
	for i := range v.List().Len() {
		w.comma()
		if err := w.single(f, v.List().Get(i)); err != nil {
			return err
		}
	}
	w.leave(']')
	return nil
}

// mapping writes a map by its keys' order, so that equal records are equal texts.
func (w *protobufWriter) mapping(f protoreflect.FieldDescriptor, m protoreflect.Map) error {
	if err := w.enter('{'); err != nil {
		return err
	}
	keys := make([]protoreflect.MapKey, 0, m.Len())
	m.Range(func(k protoreflect.MapKey, _ protoreflect.Value) bool {
		keys = append(keys, k)
		return true
	})
	slices.SortFunc(keys, func(a, b protoreflect.MapKey) int { return strings.Compare(a.String(), b.String()) })
	for _, k := range keys {
		if err := w.name(k.String()); err != nil {
			return err
		}
		if err := w.single(f.MapValue(), m.Get(k)); err != nil {
			return err
		}
	}
	w.leave('}')
	return nil
}

func (w *protobufWriter) single(f protoreflect.FieldDescriptor, v protoreflect.Value) error {
	switch f.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return w.message(v.Message())
	case protoreflect.StringKind:
		return w.text(v.String())
	case protoreflect.BytesKind:
		return w.bytes(v.Bytes())
	case protoreflect.EnumKind:
		return w.enum(f.Enum(), v.Enum())
	case protoreflect.BoolKind:
		w.bool(v.Bool())
	case protoreflect.FloatKind:
		w.float(v.Float(), 32)
	case protoreflect.DoubleKind:
		w.float(v.Float(), 64)
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind, protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		w.uint(v.Uint())
	default:
		w.int(v.Int())
	}
	return w.check()
}

// enum writes the symbol's name, or the number of one that the schema does not have.
func (w *protobufWriter) enum(of protoreflect.EnumDescriptor, n protoreflect.EnumNumber) error {
	if of.FullName() == "google.protobuf.NullValue" {
		w.null()
		return nil
	}
	if symbol := of.Values().ByNumber(n); symbol != nil {
		return w.text(string(symbol.Name()))
	}
	w.int(int64(n))
	return nil
}
