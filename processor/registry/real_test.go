package registry

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
)

// Schemas as a producer registers them, in the registry that REGISTRY_URL names or in the fake. It has passed against Apicurio Registry
// 2.6.13 (REGISTRY_URL=http://localhost:8080/apis/ccompat/v7, and v6).
func TestRegistered(t *testing.T) {
	url := os.Getenv("REGISTRY_URL")
	if url == "" {
		fake := filled()
		defer fake.Close()
		url = fake.URL()
	}
	client, err := sr.NewClient(sr.URLs(url))
	if err != nil {
		t.Fatal(err)
	}
	run := fmt.Sprintf("t%x-", rand.Uint64())
	register := func(subject string, s sr.Schema) int {
		t.Helper()
		for i := range s.References {
			s.References[i].Subject = run + s.References[i].Subject
		}
		made, err := client.CreateSchema(context.Background(), run+subject, s)
		if err != nil {
			t.Fatal(subject, err)
		}
		return made.ID
	}
	register("p", sr.Schema{Schema: properties})
	inAvro := register("a", sr.Schema{Schema: eventSchema, References: []sr.SchemaReference{{Name: "Properties", Subject: "p", Version: 1}}})
	register("q", sr.Schema{Schema: propsProto, Type: sr.TypeProtobuf})
	inProto := register("b", sr.Schema{Schema: eventProto, Type: sr.TypeProtobuf, References: []sr.SchemaReference{{Name: "properties.proto", Subject: "q", Version: 1}}})
	inJSON := register("c", sr.Schema{Schema: `{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","properties":{}}`, Type: sr.TypeJSON})

	r := &Reader{Registry: opened(t, Config{URL: url})}
	if err := r.Registry.Check(context.Background()); err != nil {
		t.Error(err)
	}
	for _, value := range [][]byte{coded(inAvro, launched...), coded(inProto, append(append([]byte{0, 10, 6}, "Launch"...), 18, 2, 8, 5)...),
		coded(inJSON, []byte(`{"event":"Launch","properties":{"amount":5}}`)...)} {
		e, bad := read(t, r, &kgo.Record{Key: []byte("ann"), Value: value, Timestamp: time.UnixMilli(7)})
		if got := string(e.Properties.Append(nil)); bad != nil || e.Name != "Launch" || got != `{"amount":5}` {
			t.Errorf("%x: %+v %s, %v", value, e, got, bad)
		}
	}
	if _, bad := read(t, r, &kgo.Record{Key: []byte("ann"), Value: coded(1 << 30)}); bad == nil || !strings.Contains(bad.Detail, "does not know schema 1073741824") {
		t.Errorf("an unknown id: %+v", bad)
	}
}
