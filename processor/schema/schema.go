// Package schema turns records in Avro and Protobuf into JSON. It is a function of a schema and bytes: who has the schema, and how
// it is fetched, is package registry's business.
//
// What becomes of a value:
//
//	null, a field that is not set    null, or left out
//	numbers                          numbers, with all their digits; NaN and the infinities are "NaN", "Infinity", "-Infinity"
//	decimals                         numbers, with all their digits
//	bytes, fixed                     base64
//	enums                            the symbol's name
//	moments                          RFC 3339 in UTC, as precise as they are; without a zone where they have none
//	dates, times of day              2006-01-02, 15:04:05.000
//	unions, oneofs                   the value itself
//	maps, records                    objects
package schema

import (
	"errors"
	"fmt"
)

// Source is a schema as a registry holds it.
type Source struct {
	Type       string // AVRO, PROTOBUF or JSON
	Text       string
	References []Reference // all that it refers to, directly or not; each behind those it refers to itself
}

// Reference is a schema that another one refers to.
type Reference struct {
	Name string // how it is called there: of Protobuf the path that is imported
	Text string
}

// Schema reads the records that were written with it. It is safe for concurrent use.
type Schema struct {
	form form
}

// form writes a record as JSON.
type form interface {
	write(w *writer, data []byte) error
}

// Compile makes a schema ready for use. An error is the schema's own.
func Compile(s Source) (compiled *Schema, err error) {
	defer caught(&err)
	var f form
	switch s.Type {
	case "AVRO", "":
		f, err = compileAvro(s)
	case "PROTOBUF":
		f, err = compileProtobuf(s)
	case "JSON":
		f = plain{}
	default:
		err = fmt.Errorf("its type is %s; read are AVRO, PROTOBUF and JSON", s.Type)
	}
	if err != nil {
		return nil, err
	}
	return &Schema{form: f}, nil
}

// Why a record cannot be read, where it is not that its bytes do not fit the schema.
var (
	ErrTooLarge = errors.New("as JSON the record is too large")
	ErrUTF8     = errors.New("a string is not valid UTF-8")
)

// caught makes an error of a panic in the libraries, which would stop every record of a partition for one: protobuf-go 1.36.12 panics on a map's
// entry whose key comes a second time and in another type.
func caught(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("it cannot be read: %v", p)
	}
}

// JSON is the record that stands behind a header. Paths are those that the envelope looks for, dotted from the outside in: a Protobuf
// field is called there as the path calls it, by its own name or by its JSON name, and without presence and a value it is left out, as
// its zero names no user and no moment. A result above limit bytes (0: 16 MiB) is ErrTooLarge.
func (s *Schema) JSON(data []byte, paths []string, limit int) (text []byte, err error) {
	defer caught(&err)
	if _, ok := s.form.(plain); ok {
		return data, nil
	}
	if limit == 0 {
		limit = 16 << 20
	}
	w := &writer{out: make([]byte, 0, 2*len(data)+64), paths: paths, limit: limit}
	if err := s.form.write(w, data); err != nil {
		return nil, err
	}
	return w.out, w.check()
}

// plain is a record that is JSON already.
type plain struct{}

func (plain) write(w *writer, data []byte) error {
	w.out = append(w.out, data...)
	return nil
}
