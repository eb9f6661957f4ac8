package value

import "testing"

const event = `{"cart_id":"c-99887766","amount":129.95,"currency":"CAD","source":"push-notification","quantity":3,` +
	`"member":true,"category":"outdoor/camping/tents","description":"A tent for four people, with a porch"}`

func BenchmarkParseObject(b *testing.B) {
	text := []byte(event)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseObject(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	p, err := ParseObject([]byte(event))
	if err != nil {
		b.Fatal(err)
	}
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = p.Append(dst[:0])
	}
}

func BenchmarkAppendBinary(b *testing.B) {
	p, err := ParseObject([]byte(event))
	if err != nil {
		b.Fatal(err)
	}
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = p.AppendBinary(dst[:0])
	}
}

func BenchmarkDecodeProperties(b *testing.B) {
	p, err := ParseObject([]byte(event))
	if err != nil {
		b.Fatal(err)
	}
	row := p.AppendBinary(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := DecodeProperties(row); err != nil {
			b.Fatal(err)
		}
	}
}
