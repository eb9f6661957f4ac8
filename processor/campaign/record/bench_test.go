package record

import (
	"testing"
)

// reference is an event as R1 has them (quality.md): 400 bytes of JSON with 8 properties.
const reference = `{"id":"0192f3a4-7c11-7e0a-b8f1-5d8f3c2a9e01","user_id":"u-123456","event":"Added To Cart",` +
	`"time":"2026-11-24T10:44:00.123Z","properties":{"cart_id":"c-99887766","amount":129.95,"currency":"CAD",` +
	`"source":"push-notification","quantity":3,"member":true,"category":"outdoor/camping/tents",` +
	`"description":"A tent for four people, with a porch, a bag and all that it takes to set it up in rain"},` +
	`"profile":{"country":"CA"}}`

func BenchmarkEvent(b *testing.B) {
	key, val := []byte("u-123456"), []byte(reference)
	b.SetBytes(int64(len(val)))
	b.ReportAllocs()
	for b.Loop() {
		if _, r := (Envelope{MaxBytes: 1 << 20}).Event(key, val, 0); r != nil {
			b.Fatal(r)
		}
	}
}
