package registry

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/tripline/tripline/processor/campaign/record"
)

const (
	eventSchema = `{"type":"record","name":"Event","fields":[{"name":"event","type":"string"},{"name":"properties","type":"Properties"}]}`
	properties  = `{"type":"record","name":"Properties","fields":[{"name":"amount","type":"long"}]}`
	eventProto  = `syntax = "proto3"; import "properties.proto"; message Event { string event = 1; Properties properties = 2; }`
	propsProto  = `syntax = "proto3"; message Properties { int64 amount = 1; }`
)

// coded is a record's value with a registry's header.
func coded(id int, data ...byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(id)), data...)
}

// launched is the event Launch with an amount of 5, in Avro.
var launched = append(append([]byte{12}, "Launch"...), 10)

// filled is a registry with schemas 1 (Avro), 2 (Protobuf), 3 (JSON), the first two with references, and 4, which cannot be used.
func filled(options ...srfake.Option) *srfake.Registry {
	fake := srfake.New(options...)
	fake.SeedSchema("properties", 1, 11, sr.Schema{Schema: properties})
	fake.SeedSchema("events", 1, 1, sr.Schema{Schema: eventSchema, References: []sr.SchemaReference{{Name: "Properties", Subject: "properties", Version: 1}}})
	fake.SeedSchema("properties.proto", 1, 12, sr.Schema{Schema: propsProto, Type: sr.TypeProtobuf})
	fake.SeedSchema("protos", 1, 2, sr.Schema{Schema: eventProto, Type: sr.TypeProtobuf, References: []sr.SchemaReference{{Name: "properties.proto", Subject: "properties.proto", Version: 1}}})
	fake.SeedSchema("jsons", 1, 3, sr.Schema{Schema: `{"type":"object"}`, Type: sr.TypeJSON})
	fake.SeedSchema("broken", 1, 4, sr.Schema{Schema: `syntax = "proto3"; message M { Gone g = 1; }`, Type: sr.TypeProtobuf})
	return fake
}

func opened(t *testing.T, cfg Config) *Registry {
	t.Helper()
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// read awaits a record and reads it as an event.
func read(t *testing.T, r *Reader, k *kgo.Record) (record.Event, *record.Rejection) {
	t.Helper()
	if err := r.Await(context.Background(), k); err != nil {
		t.Fatal(err)
	}
	e, bad, err := r.Event(k)
	if err != nil {
		t.Fatal(err)
	}
	return e, bad
}

// Each kind of record, and those without a header, give the same event; a schema is asked for once.
func TestEvents(t *testing.T) {
	fake := filled()
	defer fake.Close()
	asked := []string{}
	fake.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		asked = append(asked, r.URL.Path)
		return false
	})
	metrics := prometheus.NewRegistry()
	r := &Reader{Registry: opened(t, Config{URL: fake.URL(), Metrics: metrics})}
	plain := `{"event":"Launch","properties":{"amount":5}}`
	for range 2 {
		for name, value := range map[string][]byte{
			"Avro": coded(1, launched...), "Protobuf": coded(2, append(append([]byte{0, 10, 6}, "Launch"...), 18, 2, 8, 5)...),
			"JSON Schema": coded(3, []byte(plain)...), "plain": []byte(plain),
		} {
			e, bad := read(t, r, &kgo.Record{Key: []byte("ann"), Value: value, Timestamp: time.UnixMilli(7)})
			if got := string(e.Properties.Append(nil)); bad != nil || e.User != "ann" || e.Name != "Launch" || e.Time != 7 || got != `{"amount":5}` {
				t.Errorf("%s: %+v %s, %v", name, e, got, bad)
			}
		}
	}
	slices.Sort(asked)
	if want := "/schemas/ids/1 /schemas/ids/2 /schemas/ids/3 /subjects/properties.proto/versions/1 /subjects/properties/versions/1"; strings.Join(asked, " ") != want {
		t.Errorf("asked for %s", asked)
	}
	if n := testutil.ToFloat64(r.Registry.metrics.fetches.WithLabelValues("fetched")); n != 3 {
		t.Errorf("%v fetched", n)
	}
}

// What cannot be read, and why.
func TestRejections(t *testing.T) {
	fake := filled()
	defer fake.Close()
	registry := opened(t, Config{URL: fake.URL()})
	launch := []byte(`{"event":"Launch"}`)
	for _, c := range []struct {
		key, value     []byte
		envelope       record.Envelope
		reason, detail string
	}{
		{[]byte("ann"), coded(99), record.Envelope{}, "json", "the schema registry does not know schema 99"},
		{[]byte("ann"), coded(4), record.Envelope{}, "json", "schema 4 cannot be used"},
		{[]byte("ann"), coded(1, 12), record.Envelope{}, "json", "schema 1: event: the record ends too early"},
		{[]byte("ann"), coded(1, 2, 0xff, 2), record.Envelope{}, "utf8", "schema 1"},
		{[]byte("ann"), coded(1, launched...), record.Envelope{MaxBytes: 20}, "too_large", "as JSON"},
		{[]byte("ann"), coded(1, launched...), record.Envelope{MaxBytes: 10}, "too_large", "max_record_bytes"},
		{[]byte("ann"), coded(3), record.Envelope{}, "json", "nothing follows"},
		{[]byte("ann"), nil, record.Envelope{}, "null", ""},
		{[]byte("ann"), []byte{0, 0, 0}, record.Envelope{}, "json", ""},
		{coded(1, 6, 'a', 'n', 'n'), coded(3, launch...), record.Envelope{}, "no_user", "the key: schema 1: "},
		{coded(99, 6, 'a', 'n', 'n'), coded(3, launch...), record.Envelope{}, "no_user", "does not know schema 99"},
		{coded(1, launched...), coded(3, launch...), record.Envelope{}, "no_user", "key: ignored"},
		{coded(1, 6, 'a', 'n', 'n'), coded(3, launch...), record.Envelope{KeyIgnored: true}, "no_user", "names no user"},
		{coded(1, 6, 'a', 'n', 'n'), coded(3, []byte(`{"event":"Launch","user_id":"ann"}`)...), record.Envelope{KeyIgnored: true}, "", ""},
	} {
		r := &Reader{Envelope: c.envelope, Registry: registry}
		_, bad := read(t, r, &kgo.Record{Key: c.key, Value: c.value, Timestamp: time.UnixMilli(7)})
		if bad == nil {
			bad = &record.Rejection{}
		}
		if bad.Reason != c.reason || !strings.Contains(bad.Detail, c.detail) {
			t.Errorf("%q: %+v; expected %s, %s", c.value, bad, c.reason, c.detail)
		}
	}
	// Without a registry a header is no JSON.
	if _, bad := read(t, &Reader{}, &kgo.Record{Key: []byte("ann"), Value: coded(1, launched...)}); bad == nil || bad.Reason != "json" {
		t.Errorf("without a registry: %+v", bad)
	}
}

// Profiles have Tripline's own form, and are erased by an empty value.
func TestProfiles(t *testing.T) {
	fake := filled()
	defer fake.Close()
	r := &Reader{Envelope: record.Envelope{Format: record.Format{Kind: record.FormatSegment}}, Registry: opened(t, Config{URL: fake.URL()})}
	if err := r.Await(context.Background(), &kgo.Record{Value: coded(1)}); err != nil {
		t.Fatal(err)
	}
	p, erase, bad, err := r.Profile(&kgo.Record{Key: []byte("ann"), Value: coded(1, launched...)})
	if got := string(p.Properties.Append(nil)); err != nil || bad != nil || erase || p.User != "ann" || got != `{"amount":5}` {
		t.Errorf("%+v %s, %v, %v, %v", p, got, erase, bad, err)
	}
	if p, erase, bad, err = r.Profile(&kgo.Record{Key: []byte("ann")}); err != nil || bad != nil || !erase || p.User != "ann" {
		t.Errorf("%+v, %v, %v, %v", p, erase, bad, err)
	}
}

// A registry that does not answer makes no record a dead letter: it is asked again, and the same record is read in the end.
func TestSilence(t *testing.T) {
	fake := filled(srfake.WithAuth("Basic " + "dTpzM2NyZXQ="))
	defer fake.Close()
	for name, c := range map[string]struct {
		answer   func(w http.ResponseWriter)
		password string
		says     string
	}{
		"500":        {func(w http.ResponseWriter) { http.Error(w, `{"error_code":50001,"message":"s3cret broke"}`, 500) }, "s3cret", "*** broke"},
		"of another": {func(w http.ResponseWriter) { http.Error(w, "<html>not here</html>", 404) }, "s3cret", "is the path in registry right?"},
		"garbage":    {func(w http.ResponseWriter) { _, _ = w.Write([]byte("{")) }, "s3cret", "decode"},
		"forbidden":  {nil, "wrong", "give user and password in registry"},
	} {
		var down atomic.Bool
		down.Store(true)
		fake.ClearInterceptors()
		fake.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
			if c.answer != nil && down.Load() {
				c.answer(w)
				return true
			}
			return false
		})
		core, logs := observer.New(zap.InfoLevel)
		r := opened(t, Config{URL: strings.Replace(fake.URL(), "://", "://u:"+c.password+"@", 1), Log: zap.New(core), Hidden: []string{"s3cret"}})
		err := (&Reader{Registry: r}).Await(context.Background(), &kgo.Record{Value: coded(1)})
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
		if n := testutil.ToFloat64(r.metrics.waiting); n != 1 {
			t.Errorf("%s: %v wait", name, n)
		}
		if ready, asked := (&Reader{Registry: r}).Ready(&kgo.Record{Value: coded(1)}); ready || asked != nil {
			t.Errorf("%s: asked again without a pause", name)
		}
		if _, _, err := (&Reader{Registry: r}).Event(&kgo.Record{Value: coded(1)}); err != errNotReady {
			t.Errorf("%s: %v", name, err)
		}
		shown := err.Error()
		for _, line := range logs.All() {
			text, _ := json.Marshal(line.ContextMap())
			shown += line.Message + string(text)
		}
		if strings.Contains(shown, "s3cret") || strings.Contains(shown, "wrong@") || !strings.Contains(shown, "the schema registry does not answer") {
			t.Errorf("%s: %s", name, shown)
		}
		if down.Store(false); c.answer == nil {
			continue
		}
		r.mu.Lock()
		r.entries[ref{id: 1}].again = time.Time{} // the pause is over
		r.mu.Unlock()
		if e, bad := read(t, &Reader{Registry: r}, &kgo.Record{Key: []byte("ann"), Value: coded(1, launched...), Timestamp: time.UnixMilli(7)}); bad != nil || e.Name != "Launch" {
			t.Errorf("%s: %+v, %v", name, e, bad)
		}
		if n := testutil.ToFloat64(r.metrics.waiting); n != 0 {
			t.Errorf("%s: %v still wait", name, n)
		}
	}
}

// A reference that cannot be fetched holds the record back as the schema itself does; one that is not there does not.
func TestReferences(t *testing.T) {
	fake := filled()
	defer fake.Close()
	fake.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case strings.HasPrefix(r.URL.Path, "/subjects/properties.proto"):
			http.Error(w, "{}", http.StatusServiceUnavailable)
		case strings.HasPrefix(r.URL.Path, "/subjects/properties"):
			http.Error(w, `{"error_code":40401,"message":"Subject 'properties' not found."}`, 404)
		default:
			return false
		}
		return true
	})
	r := &Reader{Registry: opened(t, Config{URL: fake.URL()})}
	if err := r.Await(context.Background(), &kgo.Record{Value: coded(2)}); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("503: %v", err)
	}
	_, bad := read(t, r, &kgo.Record{Key: []byte("ann"), Value: coded(1, launched...)})
	if bad == nil || !strings.Contains(bad.Detail, "its reference Properties (version 1 of properties)") && !strings.Contains(bad.Detail, "Subject 'properties' not found") {
		t.Errorf("404: %+v", bad)
	}
}

// A schema of which a registry has not heard yet is asked for once more before it makes a dead letter.
func TestLateSchema(t *testing.T) {
	fake := filled()
	defer fake.Close()
	first := true
	fake.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		heard := !first
		if first = false; !heard {
			http.Error(w, `{"error_code":40403,"message":"Schema not found"}`, 404)
		}
		return !heard
	})
	r := &Reader{Registry: opened(t, Config{URL: fake.URL()})}
	if e, bad := read(t, r, &kgo.Record{Key: []byte("ann"), Value: coded(3, []byte(`{"event":"Launch","time":7}`)...)}); bad != nil || e.Name != "Launch" {
		t.Errorf("%+v, %v", e, bad)
	}
}

// The schemas kept are bounded, and what was used last stays.
func TestBound(t *testing.T) {
	fake := filled()
	defer fake.Close()
	for id := 100; id < 100+maxSchemas+50; id++ {
		fake.SeedSchema("more", id, id, sr.Schema{Schema: `{"type":"object"}`, Type: sr.TypeJSON})
	}
	r := opened(t, Config{URL: fake.URL()})
	if err := (&Reader{Registry: r}).Await(context.Background(), &kgo.Record{Value: coded(3)}); err != nil {
		t.Fatal(err)
	}
	for id := 100; id < 100+maxSchemas+50; id++ {
		if err := (&Reader{Registry: r}).Await(context.Background(), &kgo.Record{Value: coded(id)}); err != nil {
			t.Fatal(err)
		}
		if ready, _ := (&Reader{Registry: r}).Ready(&kgo.Record{Value: coded(3)}); !ready {
			t.Fatalf("forgotten at %d", id)
		}
	}
	if len(r.entries) != maxSchemas {
		t.Errorf("%d are kept", len(r.entries))
	}
}

func TestCheck(t *testing.T) {
	fake := filled()
	r := opened(t, Config{URL: fake.URL()})
	if err := r.Check(context.Background()); err != nil {
		t.Error(err)
	}
	fake.Close()
	if err := r.Check(context.Background()); err == nil || !strings.Contains(err.Error(), fake.URL()) {
		t.Error(err)
	}
	for _, url := range []string{"", "registry:8081", "ftp://registry", "http://"} {
		if _, err := New(Config{URL: url}); err == nil {
			t.Errorf("%q is taken", url)
		}
	}
	var none *Registry
	none.Close()
	if err := (&Reader{Registry: none}).Await(context.Background(), &kgo.Record{Value: coded(1)}); err != nil {
		t.Error(err)
	}
}

// TLS, with a CA of one's own.
func TestTLS(t *testing.T) {
	fake := srfake.NewRegistry()
	fake.SeedSchema("jsons", 1, 3, sr.Schema{Schema: `{}`, Type: sr.TypeJSON})
	server := httptest.NewTLSServer(fake.Handler())
	defer server.Close()
	trusting := server.Client().Transport.(*http.Transport).TLSClientConfig
	if err := (&Reader{Registry: opened(t, Config{URL: server.URL, TLS: trusting})}).Await(context.Background(), &kgo.Record{Value: coded(3)}); err != nil {
		t.Error(err)
	}
	if err := (&Reader{Registry: opened(t, Config{URL: server.URL})}).Await(context.Background(), &kgo.Record{Value: coded(3)}); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without the CA: %v", err)
	}
}

// The header is that of franz-go's own Serde, which is Confluent's.
func TestHeader(t *testing.T) {
	parsed := avro.MustParse(`"string"`)
	var serde sr.Serde
	serde.Register(258, "", sr.EncodeFn(func(v any) ([]byte, error) { return parsed.Encode(v) }))
	id, data, ok := split(serde.MustEncode("x"), nil, "")
	if !ok || id != (ref{id: 258}) || string(data) != "\x02x" {
		t.Errorf("%d %q %v", id, data, ok)
	}
}

// A key that is written with a schema is the user ID, in each of the formats.
func TestKeys(t *testing.T) {
	fake := filled()
	defer fake.Close()
	long := strings.Repeat("x", record.MaxUserBytes+1)
	for id, s := range map[int]sr.Schema{
		21: {Schema: `"string"`}, 22: {Schema: `"long"`}, 23: {Schema: `["null","string"]`},
		24: {Schema: `{"type":"record","name":"K","fields":[{"name":"customer","type":"string"}]}`},
		25: {Schema: `syntax = "proto3"; message K { string id = 1; }`, Type: sr.TypeProtobuf}, 26: {Schema: `{"type":"string"}`, Type: sr.TypeJSON},
	} {
		fake.SeedSchema("keys", id, id, s)
	}
	r := &Reader{Registry: opened(t, Config{URL: fake.URL()})}
	ann := []byte("\x06ann")
	for _, c := range []struct {
		key            []byte
		user, rejected string
	}{
		{coded(21, ann...), "ann", ""}, {coded(22, 34), "17", ""}, {coded(23, append([]byte{2}, ann...)...), "ann", ""}, {coded(24, ann...), "ann", ""},
		{coded(25, append([]byte{0, 10, 3}, "ann"...)...), "ann", ""}, {coded(26, []byte(`"ann"`)...), "ann", ""}, {coded(26, []byte(`{"id":"ann"}`)...), "ann", ""},
		{[]byte("ann"), "ann", ""}, {[]byte{0, 'a'}, "\x00a", ""},
		{coded(23, 0), "", "no_user"}, {coded(21, 0), "", "no_user"}, {coded(26, []byte(`{"id":"ann","shop":1}`)...), "", "no_user"},
		{coded(26, []byte(`"`+long+`"`)...), "", "no_user"}, {coded(21, 2, 0xff), "", "no_user"},
	} {
		for name, value := range map[string][]byte{"plain": []byte(`{"event":"Launch"}`), "Avro": coded(1, launched...)} {
			e, bad := read(t, r, &kgo.Record{Key: c.key, Value: value, Timestamp: time.UnixMilli(7)})
			if bad == nil && (e.User != c.user || e.Name != "Launch") || (bad == nil) != (c.rejected == "") || bad != nil && bad.Reason != c.rejected {
				t.Errorf("%q, %s: %q %+v", c.key, name, e.User, bad)
			}
		}
	}
	e, bad := read(t, r, &kgo.Record{Key: coded(21, ann...), Value: []byte(`{"event":"Launch","user_id":"bob"}`), Timestamp: time.UnixMilli(7)})
	if bad == nil || bad.Reason != record.ReasonUserDiffers {
		t.Errorf("another user in the value: %+v %+v", e, bad)
	}
	if p, erase, bad, err := r.Profile(&kgo.Record{Key: coded(21, ann...)}); err != nil || bad != nil || !erase || p.User != "ann" {
		t.Errorf("an erasure: %+v, %v, %v, %v", p, erase, bad, err)
	}
}

// A schema may be named by its GUID, and by a header in place of what stands before the bytes: Confluent's HeaderSchemaIdSerializer writes
// a one, the 16 bytes of the GUID and for Protobuf the message's indexes.
func TestHeaders(t *testing.T) {
	fake := filled()
	defer fake.Close()
	fake.SeedSchema("keys", 1, 21, sr.Schema{Schema: `"string"`})
	client, err := sr.NewClient(sr.URLs(fake.URL()))
	if err != nil {
		t.Fatal(err)
	}
	guid := func(subject string) []byte {
		s, err := client.SchemaByVersion(context.Background(), subject, 1)
		bytes, err2 := hex.DecodeString(strings.ReplaceAll(s.GUID, "-", ""))
		if err != nil || err2 != nil || len(bytes) != 16 {
			t.Fatal(subject, s.GUID, err, err2)
		}
		return append([]byte{1}, bytes...)
	}
	r := &Reader{Registry: opened(t, Config{URL: fake.URL()})}
	inProto := append([]byte{10, 6}, "Launch"...)
	named := func(value []byte) []kgo.RecordHeader {
		return []kgo.RecordHeader{{Key: "__value_schema_id", Value: []byte{9}}, {Key: "other", Value: []byte("x")}, {Key: "__value_schema_id", Value: value}}
	}
	for name, k := range map[string]*kgo.Record{
		"Avro":                {Value: launched, Headers: named(guid("events"))},
		"Avro, id":            {Value: launched, Headers: named(coded(1))},
		"Avro, prefix":        {Value: append(guid("events"), launched...)},
		"Protobuf":            {Value: inProto, Headers: named(append(guid("protos"), 0))},
		"Protobuf, index":     {Value: inProto, Headers: named(append(guid("protos"), 2, 0))},
		"JSON Schema":         {Value: []byte(`{"event":"Launch"}`), Headers: named(guid("jsons"))},
		"no such header":      {Value: []byte(`{"event":"Launch"}`), Headers: named([]byte("?"))},
		"a key's":             {Key: []byte("\x06ann"), Value: launched, Headers: append(named(guid("events")), kgo.RecordHeader{Key: "__key_schema_id", Value: guid("keys")})},
		"a header, no schema": {Value: []byte(`{"event":"Launch"}`), Headers: named(nil)[1:]},
	} {
		if k.Timestamp = time.UnixMilli(7); k.Key == nil {
			k.Key = []byte("ann")
		}
		if e, bad := read(t, r, k); bad != nil || e.Name != "Launch" || e.User != "ann" {
			t.Errorf("%s: %+v %+v", name, e, bad)
		}
	}
	unknown := append([]byte{1}, bytes.Repeat([]byte{0xab}, 16)...)
	_, bad := read(t, r, &kgo.Record{Key: []byte("ann"), Value: launched, Headers: named(unknown)})
	if bad == nil || !strings.Contains(bad.Detail, "does not know schema abababab-abab-abab-abab-abababababab") {
		t.Errorf("an unknown GUID: %+v", bad)
	}
}
