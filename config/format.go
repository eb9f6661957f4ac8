package config

import (
	"reflect"
	"strings"

	"github.com/tripline/tripline/processor/campaign/record"
)

// Format is the form of event records: the name of a known one, or a mapping that says where each field stands.
type Format struct {
	Name    string // tripline | segment | cloudevents; "": Mapping
	Mapping FormatMapping
}

// FormatMapping is record.Mapping as a file has it.
type FormatMapping struct {
	User       string `yaml:"user"`
	Event      string `yaml:"event" required:"true"`
	Time       string `yaml:"time"`
	ID         string `yaml:"id"`
	Properties string `yaml:"properties"`
	Profile    string `yaml:"profile"`
}

var formats = map[string]record.FormatKind{"tripline": record.FormatTripline, "segment": record.FormatSegment, "cloudevents": record.FormatCloudEvents}

func (f *Format) decodeNode(d *document, n *node, path string) {
	n, ok := d.expand(n, path)
	switch {
	case !ok:
	case n.kind == mapping:
		*f = Format{}
		d.decodeStruct(n, path, reflect.ValueOf(&f.Mapping).Elem())
		f.Mapping.check(d, n, path)
	case n.kind == scalar && (n.class() == text || n.style == outside):
		f.Name = n.text
		if _, known := formats[f.Name]; !known {
			d.problem(n, path, nearest(f.Name, []string{"tripline", "segment", "cloudevents"}),
				"`format`: expected tripline, segment, cloudevents or a mapping such as {user: who.id, event: name, properties: data}, not %q", f.Name)
		}
	default:
		d.problem(n, path, "", "`format`: expected tripline, segment, cloudevents or a mapping, not %s", n.describe())
	}
}

func (m *FormatMapping) check(d *document, n *node, path string) {
	if m.Event == "" {
		d.problem(n, path, "", "`format`: `event` is required: the path to the event's name, such as payload.name")
	}
	for _, p := range n.pairs {
		at := p.value.text
		if at != "." && p.value.kind == scalar && (at == "" || strings.HasPrefix(at, ".") || strings.HasSuffix(at, ".") || strings.Contains(at, "..")) {
			d.problem(p.value, join(path, p.key.text), "", "`%s`: expected a path of names joined by dots, such as user.id, or \".\" for the whole record", p.key.text)
		}
	}
}

// Envelope is how event and profile records are read.
func (c *Config) Envelope() record.Envelope {
	e := record.Envelope{KeyIgnored: c.Key == "ignored", MaxBytes: int(c.Limits.MaxRecordBytes)}
	e.Format.Kind = formats[c.Format.Name]
	if c.Format.Name == "" {
		e.Format = record.Format{Kind: record.FormatMapping, Mapping: record.Mapping(c.Format.Mapping)}
	}
	return e
}
