package schema

import (
	"fmt"
	"strings"

	"github.com/twmb/avro"
)

// avroNode is a type of a schema, with references resolved: a type that holds itself is a cycle.
type avroNode struct {
	kind     avroKind
	fields   []avroField // of a record
	items    *avroNode   // of an array or a map
	branches []*avroNode // of a union
	symbols  []string    // of an enum
	size     int         // of a fixed, bytes
	scale    int         // of a decimal
	fixed    bool        // a decimal that is a fixed, not bytes
}

type avroField struct {
	name string
	node *avroNode
}

type avroKind uint8

const (
	avroNull avroKind = iota
	avroBoolean
	avroInt
	avroLong
	avroFloat
	avroDouble
	avroBytes
	avroString
	avroRecord
	avroEnum
	avroArray
	avroMap
	avroUnion
	avroFixed
	avroDecimal
	avroUUID // of a fixed
	avroDuration
	avroDate
	avroTimeMillis
	avroTimeMicros
	avroTimestampMillis // these six in this order
	avroTimestampMicros
	avroTimestampNanos
	avroLocalMillis
	avroLocalMicros
	avroLocalNanos
)

var avroKinds = map[string]avroKind{
	"null": avroNull, "boolean": avroBoolean, "int": avroInt, "long": avroLong, "float": avroFloat, "double": avroDouble, "bytes": avroBytes,
	"string": avroString, "record": avroRecord, "error": avroRecord, "enum": avroEnum, "array": avroArray, "map": avroMap, "union": avroUnion,
	"fixed": avroFixed,
}

// avroLogical are the logical types, by the type that they stand on. Others, and those that do not fit, are their plain type.
var avroLogical = map[[2]string]avroKind{
	{"bytes", "decimal"}: avroDecimal, {"fixed", "decimal"}: avroDecimal, {"fixed", "uuid"}: avroUUID, {"fixed", "duration"}: avroDuration,
	{"int", "date"}: avroDate, {"int", "time-millis"}: avroTimeMillis, {"long", "time-micros"}: avroTimeMicros,
	{"long", "timestamp-millis"}: avroTimestampMillis, {"long", "timestamp-micros"}: avroTimestampMicros, {"long", "timestamp-nanos"}: avroTimestampNanos,
	{"long", "local-timestamp-millis"}: avroLocalMillis, {"long", "local-timestamp-micros"}: avroLocalMicros, {"long", "local-timestamp-nanos"}: avroLocalNanos,
}

// compileAvro has the library parse and check the schema, and takes the types from it.
func compileAvro(s Source) (form, error) {
	var cache avro.SchemaCache
	lax := avro.WithLaxNames(nil) // older registries took names of any letters
	for _, r := range s.References {
		if _, err := cache.Parse(r.Text, lax); err != nil {
			return nil, fmt.Errorf("its reference %s: %w", r.Name, err)
		}
	}
	parsed, err := cache.Parse(s.Text, lax)
	if err != nil {
		return nil, err
	}
	// Written anew it holds all that it refers to.
	if parsed, err = parsed.Root().Schema(lax); err != nil {
		return nil, err
	}
	c := avroCompiler{named: map[string]*avroNode{}}
	n, err := c.compile(parsed.Root(), "")
	if err != nil {
		return nil, err
	}
	return n, nil
}

type avroCompiler struct {
	named map[string]*avroNode
}

// compile takes over a type that stands in a namespace.
func (c *avroCompiler) compile(from *avro.SchemaNode, within string) (*avroNode, error) {
	kind, ok := avroKinds[from.Type]
	if !ok {
		for _, name := range []string{within + "." + from.Type, from.Type} {
			if n := c.named[name]; n != nil {
				return n, nil
			}
		}
		return nil, fmt.Errorf("unknown type %q", from.Type)
	}
	n := &avroNode{kind: kind, symbols: from.Symbols, size: from.Size, scale: from.Scale}
	if logical, ok := avroLogical[[2]string{from.Type, from.LogicalType}]; ok && fits(logical, from) {
		n.kind, n.fixed = logical, from.Type == "fixed"
	}
	if kind == avroRecord || kind == avroEnum || kind == avroFixed {
		name := from.Name
		if within = from.Namespace; within != "" && !strings.Contains(name, ".") {
			name = within + "." + name
		}
		c.named[name] = n
	}
	return n, c.parts(n, from, within)
}

// fits says whether a logical type can be: the specification has others read as the type below.
func fits(kind avroKind, from *avro.SchemaNode) bool {
	switch kind {
	case avroUUID:
		return from.Size == 16
	case avroDuration:
		return from.Size == 12
	case avroDecimal:
		return from.Precision > 0 && from.Scale <= maxScale && from.Scale >= -maxScale
	}
	return true
}

func (c *avroCompiler) parts(n *avroNode, from *avro.SchemaNode, within string) (err error) {
	switch n.kind {
	case avroRecord:
		for i := range from.Fields {
			f := avroField{name: from.Fields[i].Name}
			if f.node, err = c.compile(&from.Fields[i].Type, within); err != nil {
				return err
			}
			n.fields = append(n.fields, f)
		}
	case avroArray:
		n.items, err = c.compile(from.Items, within)
	case avroMap:
		n.items, err = c.compile(from.Values, within)
	case avroUnion:
		for i := range from.Branches {
			branch, err := c.compile(&from.Branches[i], within)
			if err != nil {
				return err
			}
			n.branches = append(n.branches, branch)
		}
	}
	return err
}
