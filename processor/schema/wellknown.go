package schema

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/tripline/tripline/processor/campaign/value"
)

// wellKnown is how a message is written that has a JSON form of its own; nil: it has none.
func wellKnown(of protoreflect.MessageDescriptor) func(*protobufWriter, protoreflect.Message) error {
	if !standard(of.ParentFile().Path()) {
		return nil
	}
	switch of.FullName() {
	case "google.protobuf.Timestamp":
		return (*protobufWriter).timestamp
	case "google.protobuf.Duration":
		return (*protobufWriter).duration
	case "google.protobuf.FieldMask":
		return (*protobufWriter).mask
	case "google.protobuf.Value":
		return (*protobufWriter).chosen
	case "google.protobuf.Any":
		return (*protobufWriter).packed
	case "confluent.type.Decimal":
		return (*protobufWriter).exact
	case "google.protobuf.Struct", "google.protobuf.ListValue", "google.protobuf.DoubleValue", "google.protobuf.FloatValue",
		"google.protobuf.Int64Value", "google.protobuf.UInt64Value", "google.protobuf.Int32Value", "google.protobuf.UInt32Value",
		"google.protobuf.BoolValue", "google.protobuf.StringValue", "google.protobuf.BytesValue":
		return (*protobufWriter).only
	}
	return nil
}

// part is a field of a well-known message.
func part(m protoreflect.Message, number protoreflect.FieldNumber) protoreflect.Value {
	return m.Get(m.Descriptor().Fields().ByNumber(number))
}

// only writes the one field of a message in its place.
func (w *protobufWriter) only(m protoreflect.Message) error {
	f := m.Descriptor().Fields().ByNumber(1)
	return w.any(f, m.Get(f))
}

// chosen writes a google.protobuf.Value; one without a kind is null.
func (w *protobufWriter) chosen(m protoreflect.Message) error {
	f := m.WhichOneof(m.Descriptor().Oneofs().Get(0))
	if f == nil {
		w.null()
		return nil
	}
	return w.any(f, m.Get(f))
}

// timestamp has milliseconds, or as many digits as it needs.
func (w *protobufWriter) timestamp(m protoreflect.Message) error {
	seconds, nanos := part(m, 1).Int(), part(m, 2).Int()
	digits := 9
	switch {
	case nanos%1_000_000 == 0:
		digits = 3
	case nanos%1000 == 0:
		digits = 6
	}
	w.moment(time.Unix(seconds, nanos), digits, "Z", seconds)
	return w.check()
}

// duration is in seconds, as in "1.500s".
func (w *protobufWriter) duration(m protoreflect.Message) error {
	seconds, nanos, sign := part(m, 1).Int(), part(m, 2).Int(), ""
	if seconds < 0 || nanos < 0 {
		sign, seconds, nanos = "-", -seconds, -nanos
	}
	if nanos < 0 || nanos > 999_999_999 {
		return fmt.Errorf("a duration of %s%d s and %d ns", sign, seconds, nanos)
	}
	text := sign + strconv.FormatUint(uint64(seconds), 10) + fmt.Sprintf(".%09d", nanos)
	for range 3 {
		text = strings.TrimSuffix(text, "000")
	}
	return w.text(strings.TrimSuffix(text, ".") + "s")
}

func (w *protobufWriter) mask(m protoreflect.Message) error {
	list := part(m, 1).List()
	paths := make([]string, list.Len())
	for i := range paths {
		paths[i] = camel(list.Get(i).String())
	}
	return w.text(strings.Join(paths, ","))
}

// exact writes a decimal of Confluent's own.
func (w *protobufWriter) exact(m protoreflect.Message) error {
	return w.decimal(part(m, 1).Bytes(), int(part(m, 3).Int()))
}

// packed writes an Any with the type's name; of a type that the schema does not have, its bytes.
func (w *protobufWriter) packed(m protoreflect.Message) error {
	url, content := part(m, 1).String(), part(m, 2).Bytes()
	if err := w.enter('{'); err != nil {
		return err
	}
	if err := w.name("@type"); err != nil {
		return err
	}
	if err := w.text(url); err != nil {
		return err
	}
	if err := w.unpacked(url, content); err != nil {
		return err
	}
	w.leave('}')
	return nil
}

func (w *protobufWriter) unpacked(url string, content []byte) error {
	of, err := w.types.FindMessageByURL(url)
	if err != nil {
		if err := w.name("value"); err != nil {
			return err
		}
		return w.bytes(content)
	}
	m := dynamicpb.NewMessage(of.Descriptor())
	o := proto.UnmarshalOptions{DiscardUnknown: true, RecursionLimit: value.MaxDepth, Resolver: w.types}
	if err := o.Unmarshal(content, m); err != nil {
		return fmt.Errorf("%s: its bytes do not fit", of.Descriptor().FullName())
	}
	if wellKnown(of.Descriptor()) == nil {
		return w.fields(m)
	}
	if err := w.name("value"); err != nil {
		return err
	}
	return w.message(m)
}
