package control

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// FuzzParse reads anything as a record of the control topic: what is one is made so that it is read as the same.
func FuzzParse(f *testing.F) {
	for _, r := range []*kgo.Record{Record("t", "ops", "410", "p", "trg_1", 5), State{Endpoint: "ops", State: Failing}.Record("t"), State{Endpoint: "ops", State: Held, Until: "x"}.Record("t"), {Key: []byte("ops")}} {
		f.Add(r.Key, r.Value)
	}
	f.Fuzz(func(t *testing.T, key, value []byte) {
		s, err := Parse(&kgo.Record{Key: key, Value: value})
		if err != nil {
			return
		}
		once, err := Parse(s.Record("t"))
		if err != nil {
			t.Fatalf("%+v: %v", s, err)
		}
		if again, err := Parse(once.Record("t")); err != nil || again != once {
			t.Errorf("%+v is %+v, %v", once, again, err)
		}
	})
}
