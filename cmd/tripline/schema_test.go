package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/processor/campaign/value"
	"github.com/tripline/tripline/sink/delivery"
)

// schemaOf is what `tripline schema` prints, compiled.
func schemaOf(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	text, err := run(t, "schema", name)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(name+".json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const schemaMoment = 1_795_000_000_123

func properties(t *testing.T, text string) value.Properties {
	t.Helper()
	v, err := value.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return v.Fields()
}

func TestSchemasFitRecords(t *testing.T) {
	happenings := []record.Happening{{Name: "Cart", Time: schemaMoment}, {Name: "Paid", Time: schemaMoment, Properties: properties(t, `{"amount":5}`)}}
	whole := record.Trigger{ID: "trg_0123456789abcdef0123456789abcdef", Campaign: "c", Version: "9f2c", Category: "actions", User: "ann",
		Time: schemaMoment, Profile: properties(t, `{"country":"CA"}`), Events: happenings, Endpoint: "x"}
	bare := record.Trigger{ID: whole.ID, Campaign: "c", Category: "date_time_property", User: "ann", Time: schemaMoment, Endpoint: "x"}
	suppressed := record.Decision{ID: "dec_0123456789abcdef0123456789abcdef", Campaign: "c", Version: "9f2c", User: "ann", Time: schemaMoment, Decision: "suppressed", Reason: "reentry", Detail: "d"}
	attempt := delivery.Record{TriggerID: whole.ID, Replay: 1, Campaign: "c", Version: "9f2c", User: "ann", Endpoint: "x", Attempt: 2, Outcome: "retry",
		Reason: "status", Sent: true, Status: 503, Latency: 41, Error: "e", URL: "https://example.com", Response: "no", Batch: "bat_1",
		OutOfOrder: true, Time: schemaMoment, NextAttempt: schemaMoment}
	delivered := delivery.Record{TriggerID: whole.ID, Campaign: "c", User: "ann", Endpoint: "x", Attempt: 1, Outcome: "delivered", Sent: true, Status: 204, Time: schemaMoment}
	for _, one := range []struct {
		schema string
		text   []byte
	}{
		{"trigger", whole.Append(nil, schemaMoment)},
		{"trigger", bare.Append(nil, schemaMoment)},
		{"decision", suppressed.Append(nil)},
		{"delivery", attempt.Append(nil)},
		{"delivery", delivered.Append(nil)},
		{"event", []byte(`{"id":"0192f3a4", "user_id":"u-17", "event":"Charged", "time":"2026-11-24T10:44:00.123Z",
			"properties":{"amount":129.95,"currency":"CAD","items":[{"sku":"A-1"}]}, "profile":{"country":"CA"}}`)},
		{"event", []byte(`{"event":"Charged","time":1795000000123,"more":true}`)},
		{"profile", []byte(`{"properties":{"country":null},"time":"2026-11-24T10:44:00Z"}`)},
	} {
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(one.text))
		if err != nil {
			t.Fatalf("%s: %v", one.text, err)
		}
		if err := schemaOf(t, one.schema).Validate(v); err != nil {
			t.Errorf("%s does not fit its schema: %v", one.text, err)
		}
	}
	for schema, text := range map[string]string{
		"event": `{"user_id":"u"}`, "trigger": `{"id":"x"}`, "delivery": `{"outcome":"lost"}`, "decision": `{"decision":"maybe"}`, "profile": `{"properties":[]}`,
	} {
		v, _ := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if schemaOf(t, schema).Validate(v) == nil {
			t.Errorf("%s fits the schema %s", text, schema)
		}
	}
}

// Every reason that a record can carry is one that its schema knows.
func TestSchemasKnowAllReasons(t *testing.T) {
	for _, outcome := range []string{"status", "timeout", "dns", "connect", "tls", "closed", "bad_response", "refused_address", "token", "aborted",
		"missing", "bad_json", "bad_header", "bad_url", "template", "disabled", "unknown_endpoint", "unknown_campaign", "expired", "erased", "waited_too_long"} {
		r := delivery.Record{TriggerID: "trg_0123456789abcdef0123456789abcdef", Campaign: "c", User: "ann", Endpoint: "x", Outcome: "failed", Reason: outcome, Time: schemaMoment}
		v, _ := jsonschema.UnmarshalJSON(bytes.NewReader(r.Append(nil)))
		if err := schemaOf(t, "delivery").Validate(v); err != nil {
			t.Errorf("%s: %v", outcome, err)
		}
	}
	for _, reason := range []string{"paused", "outside_schedule", "not_in_audience", "reentry", "stale", "exited", "quiet_hours", "capped", "control_group"} {
		d := record.Decision{ID: "dec_0123456789abcdef0123456789abcdef", Campaign: "c", User: "ann", Time: schemaMoment, Decision: "suppressed", Reason: reason}
		v, _ := jsonschema.UnmarshalJSON(bytes.NewReader(d.Append(nil)))
		if err := schemaOf(t, "decision").Validate(v); err != nil {
			t.Errorf("%s: %v", reason, err)
		}
	}
}

// The schemas of files are printed as those of records are; config's tests hold them to what loads.
func TestSchemasOfFiles(t *testing.T) {
	for name, text := range map[string]string{
		"campaign": `{"name":"a","trigger":{"single_action":{"event":"A"}},"deliver":{"endpoint":"x"}}`,
		"config":   `{"lanes":3}`,
		"test":     `{"campaigns":["a.yaml"],"tests":[{"name":"n","start":"2026-01-05T10:00:00Z"}]}`,
	} {
		good, _ := jsonschema.UnmarshalJSON(strings.NewReader(text))
		bad, _ := jsonschema.UnmarshalJSON(strings.NewReader(strings.Replace(text, "{", `{"more":1,`, 1)))
		if s := schemaOf(t, name); s.Validate(good) != nil || s.Validate(bad) == nil {
			t.Errorf("%s: %v", name, s.Validate(good))
		}
	}
}
