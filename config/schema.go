package config

import (
	"encoding/json"
	"reflect"
	"strings"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/value"
)

// Schemas are the names that Schema knows.
var Schemas = []string{"campaign", "config", "test"}

// Schema is the JSON Schema (2020-12) of one document of a campaign file, of tripline.yaml or of a campaign test file, for editors. It comes from the
// structs that such a document is decoded into: their yaml tags, `values` (the texts that a key takes) and `required`. It accepts
// all that loads; what a schema cannot say, such as what an expression means, only loading finds.
func Schema(name string) ([]byte, bool) {
	of := map[string]any{"campaign": campaign.Definition{}, "config": Config{}, "test": Suite{}}[name]
	if of == nil {
		return nil, false
	}
	root := reflect.TypeOf(of)
	b := schemaBuilder{environment: name == "config", defs: schema{}}
	s := schema{"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Tripline: " + name}
	for key, value := range b.mapping(root) {
		s[key] = value
	}
	s["$defs"] = b.defs
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		panic(err) // texts, numbers, lists and maps of them
	}
	return append(text, '\n'), true
}

type schema map[string]any

type schemaBuilder struct {
	environment bool // ${NAME} may stand in place of any scalar
	defs        schema
}

const (
	durationForm  = `-?([0-9]+(ms|s|m|h|d|w))+`
	timeForm      = `[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?([Zz]|[-+][0-9]{2}:[0-9]{2})`
	timeOfDayForm = `[0-9]{2}:[0-9]{2}(:[0-9]{2})?`
	shareForm     = ` *[+]?[0-9.]+([eE][-+]?[0-9]+)? *%`
	statusForm    = `[1-5][0-9]{2}(-[1-5][0-9]{2})?`
	sizeForm      = `[0-9]+(B|KB|MB|GB|KiB|MiB|GiB)?`
)

func form(pattern string) schema { return schema{"type": "string", "pattern": "^(" + pattern + ")$"} }

func anyOf(of ...schema) schema { return schema{"anyOf": of} }

// scalarSchemas are the types that read themselves from one value.
var scalarSchemas = map[reflect.Type]schema{
	reflect.TypeFor[campaign.Duration]():   form(durationForm),
	reflect.TypeFor[campaign.Time]():       form(timeForm),
	reflect.TypeFor[campaign.TimeOfDay]():  form(timeOfDayForm),
	reflect.TypeFor[campaign.Share]():      form(shareForm),
	reflect.TypeFor[campaign.Occurrence](): anyOf(form(`every|first|[+]?[0-9]*[1-9][0-9]*`), schema{"type": "integer", "minimum": 1}),
	reflect.TypeFor[Start]():               form("earliest|latest|" + timeForm),
	reflect.TypeFor[Size]():                anyOf(form(sizeForm), schema{"type": "integer", "minimum": 0}),
	reflect.TypeFor[Percent]():             form(shareForm),
	reflect.TypeFor[Statuses]():            anyOf(form(statusForm), schema{"type": "integer", "minimum": 100, "maximum": 599}),
	reflect.TypeFor[Moment]():              anyOf(form("0|"+durationForm+"|"+timeForm), schema{"const": 0}),
	reflect.TypeFor[Text]():                {"type": "string"},
	reflect.TypeFor[Secret]():              {"type": "string"},
	reflect.TypeFor[PEM]():                 {"type": "string"},
	reflect.TypeFor[ProxyURL]():            {"type": "string"},
	reflect.TypeFor[value.Value]():         {},
	reflect.TypeFor[value.Properties]():    {"type": "object"},
}

// known is the schema of a type that reads itself in a way of its own. A type that is none of them has to be added here: until then
// its values are not looked at.
func (b *schemaBuilder) known(t reflect.Type) (schema, bool) {
	switch t {
	case reflect.TypeFor[Format]():
		return anyOf(b.scalar(schema{"enum": []string{"tripline", "segment", "cloudevents"}}), b.of(reflect.TypeFor[FormatMapping](), "")), true
	case reflect.TypeFor[SigningSecret](), reflect.TypeFor[Registry]():
		return anyOf(schema{"type": "string"}, b.define(t)), true
	case reflect.TypeFor[Breaker]():
		return anyOf(schema{"const": "none"}, b.define(t)), true
	}
	if s, ok := scalarSchemas[t]; ok {
		return b.scalar(s), true
	}
	pointer := reflect.PointerTo(t)
	return schema{}, pointer.Implements(reflect.TypeFor[nodeDecoder]()) || pointer.Implements(textUnmarshaler)
}

// of is the schema of a type; values are the texts that it takes, joined by |, none: any.
func (b *schemaBuilder) of(t reflect.Type, values string) schema {
	if s, ok := b.known(t); ok {
		return s
	}
	switch t.Kind() {
	case reflect.Pointer:
		return b.of(t.Elem(), values)
	case reflect.Struct:
		return b.define(t)
	case reflect.Slice:
		return schema{"type": "array", "items": b.of(t.Elem(), values)}
	case reflect.Map:
		return schema{"type": "object", "additionalProperties": b.of(t.Elem(), values)}
	case reflect.Bool:
		return b.scalar(schema{"type": "boolean"})
	case reflect.Int, reflect.Int64:
		return b.scalar(schema{"type": "integer"})
	case reflect.Float64:
		return b.scalar(schema{"type": "number"})
	}
	if values != "" {
		return b.scalar(schema{"enum": strings.Split(values, "|")})
	}
	return schema{"type": "string"}
}

// scalar is a value, or what the environment gives.
func (b *schemaBuilder) scalar(s schema) schema {
	if !b.environment || len(s) == 0 || s["type"] == "string" && s["pattern"] == nil {
		return s
	}
	return anyOf(s, schema{"type": "string", "pattern": `\$\{`})
}

// define puts a struct's schema among the definitions, and refers to it.
func (b *schemaBuilder) define(t reflect.Type) schema {
	if _, ok := b.defs[t.Name()]; !ok {
		b.defs[t.Name()] = b.mapping(t)
	}
	return schema{"$ref": "#/$defs/" + t.Name()}
}

func (b *schemaBuilder) mapping(t reflect.Type) schema {
	keys, required := schema{}, []string{}
	for _, f := range fieldsOf(t) {
		sf := t.FieldByIndex(f.index)
		if sf.Type == unavailable {
			if f.hasNeutral { // without one, the key cannot stand there at all
				keys[f.name] = b.scalar(neutralSchema(f.neutral))
			}
			continue
		}
		s := b.of(sf.Type, sf.Tag.Get("values"))
		if f.oneOrMany {
			s = anyOf(b.of(sf.Type.Elem(), ""), s)
		}
		keys[f.name] = s
		if sf.Tag.Get("required") == "true" {
			required = append(required, f.name)
		}
	}
	s := schema{"type": "object", "properties": keys, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	}
	if t == reflect.TypeFor[campaign.Pattern]() { // by itself; inlined it may give way to others
		s["required"] = []string{"event"}
	}
	if t == reflect.TypeFor[campaign.Trigger]() || t == reflect.TypeFor[Auth]() { // exactly one of them
		s["minProperties"], s["maxProperties"] = 1, 1
	}
	return s
}

// neutralSchema accepts the one value of a key that is not available yet.
func neutralSchema(text string) schema {
	if text == "[]" {
		return schema{"type": "array", "maxItems": 0}
	}
	switch classify(text) {
	case boolean, integer, float:
		return schema{"enum": []any{json.RawMessage(text), text}}
	}
	return schema{"const": text}
}
