package delivery

import (
	"reflect"
	"testing"
)

var full = Record{
	TriggerID: "trg_1", Replay: 2, Campaign: "abandoned-cart", Version: "9f2c", User: "u-17 \"é\"\u2028", Endpoint: "ops-center",
	Attempt: 3, Outcome: "retry", Reason: "status", Sent: true, Status: 503, Latency: 41,
	Error: "line\nbreak", URL: "https://ops.example.com/hooks/***", Response: "busy", Batch: "bat_1", OutOfOrder: true,
	Time: 1795518840123, NextAttempt: 1795518845123,
}

const fullJSON = `{"trigger_id":"trg_1","replay":2,"campaign":"abandoned-cart","version":"9f2c","user_id":"u-17 \"é\"` + "\u2028" + `","endpoint":"ops-center",` +
	`"attempt":3,"outcome":"retry","reason":"status","status":503,"latency_ms":41,"error":"line\nbreak",` +
	`"url":"https://ops.example.com/hooks/***","response":"busy","batch":"bat_1","out_of_order":true,` +
	`"time":"2026-11-24T11:14:00.123Z","next_attempt":"2026-11-24T11:14:05.123Z"}`

func TestRoundTrip(t *testing.T) {
	for want, r := range map[string]Record{
		fullJSON: full,
		`{"trigger_id":"trg_1","attempt":0,"outcome":"dropped","reason":"expired","time":"2026-11-24T11:14:00.000Z"}`: {
			TriggerID: "trg_1", Outcome: "dropped", Reason: "expired", Time: 1795518840000},
		`{"trigger_id":"trg_1","attempt":1,"outcome":"delivered","status":200,"latency_ms":0,"time":"2026-11-24T11:14:00.000Z"}`: {
			TriggerID: "trg_1", Attempt: 1, Outcome: "delivered", Status: 200, Sent: true, Time: 1795518840000},
	} {
		if got := string(r.Append(nil)); got != want {
			t.Errorf("\n got %s\nwant %s", got, want)
		}
		if got, err := Parse([]byte(want)); err != nil || got != r {
			t.Errorf("%s: %+v, %v", want, got, err)
		}
	}
	if v := reflect.ValueOf(full); v.NumField() > 0 {
		for i := range v.NumField() {
			if v.Field(i).IsZero() {
				t.Errorf("the test does not set %s", v.Type().Field(i).Name)
			}
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, json := range []string{``, `[]`, `{}`, `{"trigger_id":1,"outcome":"failed","time":"2026-11-24T11:14:00.000Z"}`,
		`{"outcome":"failed","time":"2026-11-24T11:14:00.000Z"}`, `{"trigger_id":"a","time":"2026-11-24T11:14:00.000Z"}`,
		`{"trigger_id":"a","outcome":"failed","time":"today"}`, `{"trigger_id":"a","outcome":"failed","attempt":1.5,"time":"2026-11-24T11:14:00.000Z"}`,
		"{\"trigger_id\":\"\xff\",\"outcome\":\"failed\",\"time\":\"2026-11-24T11:14:00.000Z\"}"} {
		if r, err := Parse([]byte(json)); err == nil {
			t.Errorf("%s: %+v", json, r)
		}
	}
	if _, err := Parse([]byte(`{"trigger_id":"a","outcome":"failed","later":{"x":[]},"time":"2026-11-24T11:14:00.000Z"}`)); err != nil {
		t.Error(err)
	}
}
