// Package config reads everything that a person writes for Tripline: tripline.yaml, campaign files and campaign test files.
//
// Reading is strict and never stops at the first problem. Unknown, repeated and misplaced keys, wrong types, values out of
// range and what campaign.Compile finds wrong come back together as Problems, each with file, line, column, the line itself
// and, where a name was probably meant, that name.
//
//	Load             tripline.yaml -> *Config
//	LoadCampaigns    campaign files -> []campaign.Definition and the Source that knows where each part of them stands
//	LoadTests        one campaign test file -> *Suite
//	LoadAll          tripline.yaml, the campaign files it names, and campaign.Compile over them: what a service starts with
//
// The way of a document: split the file at its document markers, let goccy/go-yaml parse it, turn its syntax tree into our
// own small tree (tree.go: aliases, merge keys, YAML 1.2 core schema), decode that into structs by reflection (decode.go),
// note for every path where it stands (source.go), and judge the values (check.go, endpoint.go).
package config

import (
	_ "embed"
	"reflect"
	"strings"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/record"
)

// Config is tripline.yaml. Default has the defaults; Load checks every value, so that what it returns without a problem can
// be used as it is. Durations are milliseconds. Paths that Load returns are relative to the working directory or absolute.
//
// Fields of type campaign.Unavailable are keys of the language that this version does not know yet: they are refused by
// name, except with the neutral value in their tag, which asks for nothing.
type Config struct {
	Kafka              Kafka             `yaml:"kafka"`
	Group              string            `yaml:"group"`
	Topics             Topics            `yaml:"topics"`
	Format             Format            `yaml:"format"`
	Key                string            `yaml:"key" values:"user|ignored"`
	Start              Start             `yaml:"start"`
	Campaigns          []string          `yaml:"campaigns"` // globs; CampaignFiles expands them
	State              State             `yaml:"state"`
	Lanes              int               `yaml:"lanes"` // 0: one per partition, up to 48
	SessionTimeout     campaign.Duration `yaml:"session_timeout"`
	TransactionTimeout campaign.Duration `yaml:"transaction_timeout"`
	OnStop             string            `yaml:"on_stop" values:"keep|leave"`
	Memory             Size              `yaml:"memory"`
	HTTP               HTTP              `yaml:"http"`
	Log                Log               `yaml:"log"`
	Timezone           string            `yaml:"timezone"` // an IANA name
	AllowedLateness    campaign.Duration `yaml:"allowed_lateness"`
	MaxFuture          campaign.Duration `yaml:"max_future"`
	Settle             campaign.Duration `yaml:"settle"`
	History            History           `yaml:"history"`
	Limits             Limits            `yaml:"limits"`
	Caps               []campaign.Cap    `yaml:"caps"`
	OnGap              string            `yaml:"on_gap" values:"stop|skip"`
	WatermarkSlack     campaign.Duration `yaml:"watermark_slack"`
	Dedupe             campaign.Duration `yaml:"dedupe"`
	Decisions          Decisions         `yaml:"decisions"`
	DeliveriesAsEvents bool              `yaml:"deliveries_as_events"`
	Registry           Registry          `yaml:"registry"`
	TimezoneProperty   string            `yaml:"timezone_property"`
	Console            Console           `yaml:"console"`
	Endpoints          []Endpoint        `yaml:"endpoints"`
}

// Kafka says how to reach the brokers. A nil TLS is a plain connection, a nil SASL no authentication.
type Kafka struct {
	Brokers []string `yaml:"brokers"`
	TLS     *TLS     `yaml:"tls"`
	SASL    *SASL    `yaml:"sasl"`
}

// TLS names PEM files. Without CA the system's roots hold; Cert and Key come together or not at all.
type TLS struct {
	CA   string `yaml:"ca"`
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

// SASL is how the client proves who it is.
type SASL struct {
	Mechanism string `yaml:"mechanism" required:"true" values:"PLAIN|SCRAM-SHA-256|SCRAM-SHA-512"`
	Username  Text   `yaml:"username" required:"true"`
	Password  Secret `yaml:"password" required:"true"`
}

// Topics are the topics' names; an empty Profiles means that there is no such topic.
type Topics struct {
	Events      []string `yaml:"events"`
	Profiles    string   `yaml:"profiles"`
	Triggers    string   `yaml:"triggers"`
	Decisions   string   `yaml:"decisions"`
	Deliveries  string   `yaml:"deliveries"`
	DeadLetters string   `yaml:"dead_letters"`
}

// State is where a process keeps its state, for how long that of partitions it has lost, and how many warm copies of each
// lane the processes keep beside its owner's.
type State struct {
	Dir      string            `yaml:"dir"`
	Keep     campaign.Duration `yaml:"keep"`
	Standbys int               `yaml:"standbys"`
}

// HTTP is the address of a service's pages; empty: the service's own default.
type HTTP struct {
	Listen string `yaml:"listen"`
}

// Log says what is logged, and how: json means console where standard error is a terminal.
type Log struct {
	Level  string `yaml:"level" values:"debug|info|warn|error"`
	Format string `yaml:"format" values:"json|console"`
}

// History bounds what is kept per user.
type History struct {
	MaxAge     campaign.Duration `yaml:"max_age"`
	MaxEvents  int               `yaml:"max_events"`
	MaxOpen    int               `yaml:"max_open"`
	Properties string            `yaml:"properties" values:"all|referenced"`
}

// Limits bounds what is read.
type Limits struct {
	MaxRecordBytes Size `yaml:"max_record_bytes"`
}

// Decisions says which decisions are written.
type Decisions struct {
	NotInAudience bool `yaml:"not_in_audience"`
}

// Console is the console's own configuration.
type Console struct {
	Auth campaign.Unavailable `yaml:"auth" neutral:"none"`
}

//go:embed reference.yaml
var reference []byte

// Reference is a tripline.yaml with every key at its default and a comment each; Load reads it as Default.
func Reference() []byte { return append([]byte(nil), reference...) }

// Default is the configuration of an empty tripline.yaml.
func Default() *Config {
	const second, minute, hour, day = 1000, 60_000, 3_600_000, 86_400_000
	return &Config{
		Kafka: Kafka{Brokers: []string{"localhost:9092"}},
		Group: "tripline",
		Topics: Topics{
			Events: []string{"events"}, Triggers: "triggers", Decisions: "decisions",
			Deliveries: "deliveries", DeadLetters: "dead-letters",
		},
		Format:             Format{Name: "tripline"},
		Key:                "user",
		Start:              StartEarliest,
		Campaigns:          []string{"campaigns/*.yaml"},
		State:              State{Dir: "data", Keep: hour},
		SessionTimeout:     10 * second,
		TransactionTimeout: 15 * second,
		OnStop:             "keep",
		Memory:             512 << 20,
		Log:                Log{Level: "info", Format: "json"},
		Timezone:           "UTC",
		MaxFuture:          5 * minute,
		Settle:             minute,
		History:            History{MaxAge: 30 * day, MaxEvents: 10000, MaxOpen: 1000, Properties: "all"},
		Limits:             Limits{MaxRecordBytes: 1 << 20},
		Caps:               []campaign.Cap{},
		OnGap:              "stop",
		WatermarkSlack:     30 * second,
		Dedupe:             day,
		TimezoneProperty:   "timezone",
		Endpoints:          []Endpoint{},
	}
}

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

// DeliveryEvents is the topic to which the ends of deliveries go as events: the first of events. "": they do not.
func (c *Config) DeliveryEvents() string {
	if !c.DeliveriesAsEvents || len(c.Topics.Events) == 0 {
		return ""
	}
	return c.Topics.Events[0]
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
