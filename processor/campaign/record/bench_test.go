package record

import (
	"testing"

	"github.com/tripline/tripline/processor/campaign/value"
)

// reference is an event as R1 has them: 400 bytes of JSON with 8 properties.
const reference = `{"id":"0192f3a4-7c11-7e0a-b8f1-5d8f3c2a9e01","user_id":"u-123456","event":"Added To Cart",` +
	`"time":"2026-11-24T10:44:00.123Z","properties":{"cart_id":"c-99887766","amount":129.95,"currency":"CAD",` +
	`"source":"push-notification","quantity":3,"member":true,"category":"outdoor/camping/tents",` +
	`"description":"A tent for four people, with a porch, a bag, pegs and all that it takes to set it up in rain"}}`

func BenchmarkEvent(b *testing.B) {
	key, val := []byte("u-123456"), []byte(reference)
	b.SetBytes(int64(len(val)))
	b.ReportAllocs()
	for b.Loop() {
		if _, r := (Envelope{MaxBytes: bound}).Event(key, val, 0); r != nil {
			b.Fatal(r)
		}
	}
}

func BenchmarkEventWithoutUserID(b *testing.B) {
	key, val := []byte("u-123456"), []byte(`{"event":"Added To Cart","properties":{"cart_id":"c-99887766","amount":129.95}}`)
	b.SetBytes(int64(len(val)))
	b.ReportAllocs()
	for b.Loop() {
		if _, r := (Envelope{MaxBytes: bound}).Event(key, val, 0); r != nil {
			b.Fatal(r)
		}
	}
}

func benchmarkTrigger(b *testing.B) Trigger {
	e, r := Envelope{}.Event([]byte("u-123456"), []byte(reference), 0)
	if r != nil {
		b.Fatal(r)
	}
	return Trigger{
		ID: "trg_5b1d3c9a7e2f4a6b8c0d", Campaign: "abandoned-cart", Version: "9f2c4e6a", Category: "inaction_within_time",
		User: e.User, Time: e.Time, Profile: value.Properties{{Name: "country", Value: value.OfString("CA")}},
		Events: []Happening{{e.Name, e.Time, e.Properties}}, Endpoint: "ops-center",
	}
}

func BenchmarkTriggerAppend(b *testing.B) {
	t := benchmarkTrigger(b)
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = t.Append(dst[:0], t.Time)
	}
}

func BenchmarkParseTrigger(b *testing.B) {
	t := benchmarkTrigger(b)
	text := t.Append(nil, t.Time)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseTrigger(text); err != nil {
			b.Fatal(err)
		}
	}
}
