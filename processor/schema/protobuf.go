package schema

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/linker"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/tripline/tripline/processor/campaign/value"
)

// protobuf is a .proto file. A record says which of its messages it is.
type protobuf struct {
	file  protoreflect.FileDescriptor
	types linker.Resolver // extensions, and what an Any may hold
}

// compileProtobuf compiles the text, and what it imports from its references, the standard files and known.
func compileProtobuf(s Source) (form, error) {
	const main = "schema of the record.proto"
	texts := map[string]string{main: s.Text}
	for _, r := range s.References {
		if !standard(r.Name) {
			texts[r.Name] = r.Text
		}
	}
	accessor := func(path string) (io.ReadCloser, error) {
		text, ok := texts[path]
		if !ok {
			if text, ok = known[path]; !ok {
				return nil, fmt.Errorf("%s is none of its references", path)
			}
		}
		return io.NopCloser(strings.NewReader(text)), nil
	}
	c := protocompile.Compiler{MaxParallelism: 1, Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{Accessor: accessor})}
	files, err := c.Compile(context.Background(), main)
	if err != nil {
		return nil, err
	}
	return &protobuf{file: files[0], types: linker.ResolverFromFile(files[0])}, nil
}

func (p *protobuf) write(w *writer, data []byte) error {
	message, data, err := p.message(data)
	if err != nil {
		return err
	}
	m := dynamicpb.NewMessage(message)
	o := proto.UnmarshalOptions{DiscardUnknown: true, RecursionLimit: value.MaxDepth + 1, Resolver: p.types}
	if err := o.Unmarshal(data, m); err != nil {
		return fmt.Errorf("%s: %s", message.FullName(), strings.TrimSpace(strings.TrimPrefix(err.Error(), "proto:")))
	}
	pw := protobufWriter{writer: w, types: p.types}
	return pw.message(m)
}

// message finds the message that a record is: its indexes, from the file inwards, as zigzag varints behind their number; none is the
// file's first. https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format
func (p *protobuf) message(data []byte) (protoreflect.MessageDescriptor, []byte, error) {
	next := func() (int64, error) {
		n, size := binary.Varint(data)
		if size <= 0 {
			return 0, errors.New("it has no message index")
		}
		data = data[size:]
		return n, nil
	}
	count, err := next()
	if err != nil {
		return nil, nil, err
	}
	if count < 0 || count > value.MaxDepth {
		return nil, nil, fmt.Errorf("a message index of %d parts", count)
	}
	var found protoreflect.MessageDescriptor
	within := p.file.Messages()
	for i := int64(0); i < max(count, 1); i++ {
		index := int64(0)
		if count > 0 {
			if index, err = next(); err != nil {
				return nil, nil, err
			}
		}
		if index < 0 || index >= int64(within.Len()) {
			return nil, nil, fmt.Errorf("the schema has no message at index %d", index)
		}
		found = within.Get(int(index))
		within = found.Messages()
	}
	return found, data, nil
}
