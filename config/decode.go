package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/value"
)

// document is one YAML document while it is decoded and afterwards: it knows where each path of it stands.
//
// A path is written as in `trigger.actions.all[1].where`. Structs are filled by the names in their yaml tags; the options are
// `inline` (the fields of an embedded struct are keys of the mapping itself) and `oneormany` (a list, or one element alone).
// Whatever a file gives replaces the default that the target holds, lists and maps as a whole.
type document struct {
	file   *file
	root   *node
	text   string          // of a campaign, behind a marker
	found  map[string]pair // path -> value, and key where there is one
	alone  map[string]bool // of lists that may be one element alone: whether they are
	failed []string        // paths at which something is wrong: what else is said of them or of what holds them follows from that

	environment func(string) (string, bool) // nil: ${NAME} is text
	read        []string                    // files that values came from
}

// nodeDecoder is a type that reads itself from any kind of node.
type nodeDecoder interface {
	decodeNode(d *document, n *node, path string)
}

// defaulter is a type that has defaults wherever it stands in a list.
type defaulter interface{ setDefaults() }

// located is a type that wants to know its line.
type located interface{ setLine(line int) }

var (
	unavailable     = reflect.TypeFor[campaign.Unavailable]()
	anyValue        = reflect.TypeFor[value.Value]()
	properties      = reflect.TypeFor[value.Properties]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// field is one key of a mapping: where its value goes, and what its tags say.
type field struct {
	name       string
	index      []int
	oneOrMany  bool
	hasNeutral bool
	neutral    string // the one value of a key that is not available yet
	values     string // the words that it may be, with | between them; "": any
}

type fields []field

func fieldsOf(t reflect.Type) fields {
	var all fields
	for i := range t.NumField() {
		sf := t.Field(i)
		name, options, _ := strings.Cut(sf.Tag.Get("yaml"), ",")
		switch {
		case options == "inline":
			for _, f := range fieldsOf(sf.Type) {
				f.index = append([]int{i}, f.index...)
				all = append(all, f)
			}
		case name != "" && name != "-":
			f := field{name: name, index: []int{i}, oneOrMany: options == "oneormany", values: sf.Tag.Get("values")}
			f.neutral, f.hasNeutral = sf.Tag.Lookup("neutral")
			all = append(all, f)
		}
	}
	return all
}

func (all fields) find(name string) (field, bool) {
	i := slices.IndexFunc(all, func(f field) bool { return f.name == name })
	if i < 0 {
		return field{}, false
	}
	return all[i], true
}

func (all fields) names() []string {
	names := make([]string, len(all))
	for i, f := range all {
		names[i] = f.name
	}
	return names
}

// decodeDocument fills target, a pointer to a struct, from a document. A document that could not be parsed leaves it as it is.
func (d *document) decodeDocument(target any) {
	d.found, d.alone = map[string]pair{}, map[string]bool{}
	if d.root != nil {
		d.decode(d.root, nil, "", reflect.ValueOf(target).Elem(), field{})
	}
}

// problem notes what is wrong with a node.
func (d *document) problem(n *node, path, suggestion, format string, args ...any) {
	d.failed = append(d.failed, path)
	message := fmt.Sprintf(format, args...)
	if n.origin != "" {
		d.file.problems = append(d.file.problems, Problem{File: n.origin, Message: message, Suggestion: suggestion})
		return
	}
	d.file.note(n.line, n.column, message, suggestion)
}

func (d *document) decode(n, key *node, path string, v reflect.Value, f field) {
	if _, known := d.found[path]; !known || path == "" {
		d.found[path] = pair{key: key, value: n}
	}
	if n.bad {
		d.failed = append(d.failed, path)
		return
	}
	if own, ok := v.Addr().Interface().(located); ok {
		own.setLine(n.line)
	}
	if own, ok := v.Addr().Interface().(nodeDecoder); ok {
		own.decodeNode(d, n, path)
		return
	}
	if n.isNull() && v.Type() != anyValue {
		at := n
		if key != nil && n.text == "" {
			at = key
		}
		d.problem(at, path, "", "%s has no value; leave it out, or give it one", keyName(path))
		return
	}
	if f.values != "" && n.kind == scalar && n.text == "" {
		d.problem(n, path, "", "%s is empty; leave it out, or give it one of %s", keyName(path), strings.ReplaceAll(f.values, "|", ", "))
		return
	}
	switch v.Type() {
	case anyValue, properties:
		d.decodeJSON(n, path, v)
		return
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		if own, ok := v.Interface().(defaulter); ok {
			own.setDefaults()
		}
		d.decode(n, key, path, v.Elem(), f)
		return
	}
	if reflect.PointerTo(v.Type()).Implements(textUnmarshaler) {
		d.unmarshal(n, path, v.Addr().Interface().(encoding.TextUnmarshaler))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.decodeStruct(n, path, v)
	case reflect.Slice:
		d.decodeSlice(n, path, v, f)
	case reflect.Map:
		d.decodeMap(n, path, v)
	default:
		d.decodeScalar(n, path, v)
	}
}

// keyName is how a message calls a path: by its last key.
func keyName(path string) string {
	if path == "" {
		return "the document"
	}
	return "`" + path[strings.LastIndexByte(path, '.')+1:] + "`"
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func (d *document) decodeStruct(n *node, path string, v reflect.Value) {
	if n.kind != mapping {
		d.problem(n, path, "", "%s: expected a mapping, not %s", keyName(path), d.describe(n))
		return
	}
	fields := fieldsOf(v.Type())
	for _, p := range n.pairs {
		f, ok := fields.find(p.key.text)
		if !ok {
			d.unknownKey(p, path, fields)
			continue
		}
		at := join(path, f.name)
		target := v.FieldByIndex(f.index)
		if target.Type() == unavailable {
			d.refuse(p, at, f)
			continue
		}
		d.decode(p.value, p.key, at, target, f)
	}
}

// unknownKey refuses a key, and says which ones there are if they are few.
func (d *document) unknownKey(p pair, path string, fields fields) {
	known := fields.names()
	meant := nearest(p.key.text, known)
	if meant != "" {
		d.failed = append(d.failed, join(path, meant))
	}
	message := fmt.Sprintf("unknown key `%s`", p.key.text)
	if path != "" {
		message += " in " + keyName(path)
	}
	if meant == "" && len(known) <= 10 {
		message += "; expected " + strings.Join(known, ", ")
	}
	d.problem(p.key, join(path, p.key.text), meant, "%s", message)
}

// refuse says that a key is not available yet, unless its value asks for nothing.
func (d *document) refuse(p pair, path string, f field) {
	d.found[path] = p
	value, ok := d.expand(p.value, path)
	if !ok || f.hasNeutral && value.isNeutral(f.neutral) {
		return
	}
	if f.hasNeutral && f.neutral != "" && f.neutral != "[]" {
		d.problem(p.key, path, "", "`%s` is not available yet with any other value than %s", f.name, f.neutral)
		return
	}
	d.problem(p.key, path, "", "`%s` is not available yet", f.name)
}

func (n *node) isNeutral(neutral string) bool {
	switch {
	case n.kind == list:
		return neutral == "[]" && len(n.list) == 0
	case n.kind == mapping:
		return false
	case neutral == "":
		return n.text == "" && n.style != plain
	}
	return n.text == neutral
}

func (d *document) decodeSlice(n *node, path string, v reflect.Value, f field) {
	nodes := n.list
	if f.oneOrMany {
		d.alone[path] = n.kind != list
	}
	if n.kind != list {
		if !f.oneOrMany {
			d.problem(n, path, "", "%s: expected a list as in [a, b], not %s", keyName(path), n.describe())
			return
		}
		nodes = []*node{n}
	}
	v.Set(reflect.MakeSlice(v.Type(), len(nodes), len(nodes)))
	for i, element := range nodes {
		at := path
		if n.kind == list {
			at = fmt.Sprintf("%s[%d]", path, i)
		}
		if own, ok := v.Index(i).Addr().Interface().(defaulter); ok {
			own.setDefaults()
		}
		d.decode(element, nil, at, v.Index(i), field{})
	}
}

func (d *document) decodeMap(n *node, path string, v reflect.Value) {
	if n.kind != mapping {
		d.problem(n, path, "", "%s: expected a mapping, not %s", keyName(path), n.describe())
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for _, p := range n.pairs {
		value := reflect.New(v.Type().Elem()).Elem()
		d.decode(p.value, p.key, join(path, p.key.text), value, field{})
		v.SetMapIndex(reflect.ValueOf(p.key.text).Convert(v.Type().Key()), value)
	}
}

func (d *document) unmarshal(n *node, path string, target encoding.TextUnmarshaler) {
	n, ok := d.expand(n, path)
	if !ok {
		return
	}
	if n.kind != scalar {
		d.problem(n, path, "", "%s: expected one value, not %s", keyName(path), n.describe())
		return
	}
	text := n.text
	if n.class() == integer {
		text, _ = jsonNumber(text)
	}
	if err := target.UnmarshalText([]byte(text)); err != nil {
		message := err.Error()
		for _, secret := range n.secrets {
			message = strings.ReplaceAll(message, secret, "***")
		}
		d.problem(n, path, "", "%s: %s", keyName(path), message)
	}
}

func (d *document) decodeScalar(n *node, path string, v reflect.Value) {
	n, ok := d.expand(n, path)
	if !ok {
		return
	}
	wrong := func(expected, advice string) {
		d.problem(n, path, "", "%s: expected %s, not %s%s", keyName(path), expected, n.describe(), advice)
	}
	class := n.class()
	if n.kind != scalar {
		class = null
	}
	switch v.Kind() {
	case reflect.String:
		switch {
		case n.kind == scalar && (class == text || n.style == outside):
			v.SetString(n.text)
		case n.kind == scalar:
			wrong("text", "; put it in quotes")
		default:
			wrong("text", "")
		}
	case reflect.Bool:
		if class != boolean {
			wrong("true or false", "")
			return
		}
		v.SetBool(strings.EqualFold(n.text, "true"))
	case reflect.Int, reflect.Int64:
		whole, ok := int64(0), false
		if class == integer || class == float {
			whole, ok = wholeNumber(n.text)
		}
		if !ok || v.OverflowInt(whole) {
			wrong("a whole number", "")
			return
		}
		v.SetInt(whole)
	case reflect.Float64:
		number, ok := "", false
		if class == integer || class == float {
			number, ok = jsonNumber(n.text)
		}
		f, err := strconv.ParseFloat(number, 64)
		if !ok || err != nil {
			wrong("a number", "")
			return
		}
		v.SetFloat(f)
	default:
		panic("config: no way to decode " + v.Type().String())
	}
}

// describe is the node's, which does not show a secret that stands in the wrong place.
func (d *document) describe(n *node) string {
	if slices.Contains(d.file.hidden, n) {
		return "text"
	}
	return n.describe()
}

// describe says what a node is, as in "expected a list, not ...".
func (n *node) describe() string {
	switch n.kind {
	case mapping:
		return "a mapping"
	case list:
		return "a list"
	}
	if n.style == outside && n.origin == "" {
		return "what the environment gives"
	}
	switch n.class() {
	case null:
		return "nothing"
	case boolean, integer, float:
		return n.text
	}
	if len(n.text) > 40 || strings.Contains(n.text, "\n") {
		return "text"
	}
	return "the text " + strconv.Quote(n.text)
}
