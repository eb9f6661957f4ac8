package record

import (
	"strconv"
	"strings"
	"testing"
)

const (
	bound = 1 << 20
	stamp = 1_764_000_000_999
)

var long = strings.Repeat("u", 513)

var goodEvents = []struct {
	name, key, val string
	ignored        bool
	want           Event // but for properties and profile
	properties     string
	profile        string
}{
	{
		name: "all fields", key: "u-17",
		val: `{"id":"0192f3a4","user_id":"u-17","event":"Charged","time":"2026-11-24T10:44:00.123Z",
			"properties":{"amount":129.95,"currency":"CAD","items":[{"sku":"A-1"}]},"profile":{"country":"CA"}}`,
		want:       Event{ID: "0192f3a4", User: "u-17", Name: "Charged", Time: 1795517040123},
		properties: `{"amount":129.95,"currency":"CAD","items":[{"sku":"A-1"}]}`, profile: `{"country":"CA"}`,
	},
	{name: "only an event", key: "u-17", val: `{"event":"A"}`, want: Event{User: "u-17", Name: "A", Time: stamp}},
	{name: "nulls are left out", key: "u-17", val: `{"event":"A","id":null,"user_id":null,"time":null,"properties":null,"profile":null}`,
		want: Event{User: "u-17", Name: "A", Time: stamp}},
	{name: "nulls in properties stay", key: "u", val: `{"event":"A","properties":{"a":null},"profile":{"b":null,"c":1}}`,
		want: Event{User: "u", Name: "A", Time: stamp}, properties: `{"a":null}`, profile: `{"b":null,"c":1}`},
	{name: "milliseconds", key: "u", val: `{"event":"A","time":1764000000123}`, want: Event{User: "u", Name: "A", Time: 1764000000123}},
	{name: "milliseconds are cut", key: "u", val: `{"event":"A","time":1764000000123.99}`, want: Event{User: "u", Name: "A", Time: 1764000000123}},
	{name: "milliseconds with many digits", key: "u", val: `{"event":"A","time":1764000000123.9999999999}`, want: Event{User: "u", Name: "A", Time: 1764000000123}},
	{name: "the first millisecond", key: "u", val: `{"event":"A","time":0}`, want: Event{User: "u", Name: "A"}},
	{name: "the last millisecond", key: "u", val: `{"event":"A","time":253402300799999}`, want: Event{User: "u", Name: "A", Time: 253402300799999}},
	{name: "the last of duplicate keys", key: "u", val: `{"event":1,"time":"x","properties":[],"user_id":"v","event":"A","time":5,"properties":{"a":1},"user_id":"u"}`,
		want: Event{User: "u", Name: "A", Time: 5}, properties: `{"a":1}`},
	{name: "the last of duplicate keys, null", key: "u", val: `{"event":"A","properties":{"a":1},"properties":null,"id":"x","id":null}`,
		want: Event{User: "u", Name: "A", Time: stamp}},
	{name: "other fields", key: "u", val: `{"event":"A","context":{"deep":[1,{"x":"\n"}]},"v":2}`, want: Event{User: "u", Name: "A", Time: stamp}},
	{name: "escapes", key: "ü", val: `{"event":"\u0041\ud800","user_id":"\u00fc","\u0069d":"x"}`, want: Event{ID: "x", User: "ü", Name: "A\ufffd", Time: stamp}},
	{name: "an id that is a number", key: "u", val: `{"event":"A","id":12345678901234567}`, want: Event{ID: "12345678901234567", User: "u", Name: "A", Time: stamp}},
	{name: "an id that is neither", key: "u", val: `{"event":"A","id":[1]}`, want: Event{User: "u", Name: "A", Time: stamp}},
	{name: "spaces", key: "u", val: " {\n\t\"event\" :\t\"A\" ,\r\n\"properties\" : { \"a\" : [ 1 , 2 ] } } \n", want: Event{User: "u", Name: "A", Time: stamp}, properties: `{"a":[1,2]}`},
	{name: "the longest user", key: strings.Repeat("u", 512), val: `{"event":"A"}`, want: Event{User: strings.Repeat("u", 512), Name: "A", Time: stamp}},
	{name: "the key ignored", ignored: true, key: "partition-3", val: `{"event":"A","user_id":"u"}`, want: Event{User: "u", Name: "A", Time: stamp}},
	{name: "the key ignored, no UTF-8", ignored: true, key: "\xff", val: `{"event":"A","user_id":"u"}`, want: Event{User: "u", Name: "A", Time: stamp}},
	{name: "as large as may be", key: "u", val: `{"event":"A","x":"` + strings.Repeat("x", bound-len(`{"event":"A","x":""}`)) + `"}`, want: Event{User: "u", Name: "A", Time: stamp}},
}

func TestEvent(t *testing.T) {
	for _, c := range goodEvents {
		e := Envelope{KeyIgnored: c.ignored, MaxBytes: bound}
		got, r := e.Event([]byte(c.key), []byte(c.val), stamp)
		if r != nil {
			t.Errorf("%s: %s: %s", c.name, r.Reason, r.Detail)
			continue
		}
		if got.ID != c.want.ID || got.User != c.want.User || got.Name != c.want.Name || got.Time != c.want.Time {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
		for _, p := range []struct{ got, want string }{
			{string(got.Properties.Append(nil)), c.properties}, {string(got.Profile.Append(nil)), c.profile},
		} {
			if p.want == "" {
				p.want = "{}"
			}
			if p.got != p.want {
				t.Errorf("%s: properties or profile are %s, want %s", c.name, p.got, p.want)
			}
		}
	}
}

var badEvents = []struct {
	val, key, reason, detail string
	ignored                  bool
}{
	{key: "u", val: ``, reason: "null", detail: "no value"},
	{key: "u", val: `{"event":"A","x":"` + strings.Repeat("x", bound) + `"}`, reason: "too_large", detail: "1048596 bytes"},
	{key: "u", val: "{\"event\":\"\xff\"}", reason: "utf8", detail: "the value"},
	{key: "\xff", val: `{"event":"A"}`, reason: "utf8", detail: "the key"},
	{key: "u", val: `{"event":"A"`, reason: "json", detail: "at byte 12"},
	{key: "u", val: `{"event":"A"} x`, reason: "json", detail: "at byte 14: expected nothing after"},
	{key: "u", val: `{"event":"A"}{}`, reason: "json", detail: "at byte 13"},
	{key: "u", val: `{"event":"A","x":[01]}`, reason: "json"},
	{key: "u", val: "{\"event\":\"A\",\"x\":\"a\nb\"}", reason: "json", detail: "control character"},
	{key: "u", val: `[]`, reason: "json", detail: "expected an object"},
	{key: "u", val: `null`, reason: "json", detail: "expected an object"},
	{key: "u", val: ` `, reason: "json", detail: "expected an object"},
	{key: "u", val: "\ufeff{}", reason: "json"},
	{key: "u", val: `{"event":"A","properties":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`, reason: "json", detail: "nested deeper than 64"},
	{key: "u", val: `{"event":"A","x":` + strings.Repeat(`{"a":`, 64) + `1` + strings.Repeat("}", 64) + `}`, reason: "json", detail: "nested deeper than 64"},
	{key: "u", val: `{"event":"A","user_id":""}`, reason: "no_user", detail: "empty"},
	{key: "u", val: `{"event":"A","user_id":17}`, reason: "no_user", detail: "user_id is a number, not a string"},
	{key: "u", val: `{"event":"A","user_id":{}}`, reason: "no_user", detail: "user_id is an object"},
	{key: "u", val: `{"event":"A","user_id":"` + long + `"}`, reason: "no_user", detail: "513 bytes"},
	{key: long, val: `{"event":"A"}`, reason: "no_user", detail: "513 bytes"},
	{key: "", val: `{"event":"A"}`, reason: "no_user", detail: "empty"},
	{key: "none", val: `{"event":"A"}`, reason: "no_user", detail: "names no user"},
	{key: "none", val: `{"event":"A","user_id":"u"}`, reason: "no_key", detail: "key: ignored"},
	{key: "u", val: `{"event":"A","user_id":"v"}`, reason: "user_differs", detail: `user_id is "v", the key "u"`},
	{key: "", val: `{"event":"A","user_id":"v"}`, reason: "user_differs", detail: `the key ""`},
	{key: "u", ignored: true, val: `{"event":"A"}`, reason: "no_user", detail: "names no user"},
	{key: "u", ignored: true, val: `{"event":"A","user_id":""}`, reason: "no_user", detail: "empty"},
	{key: "u", ignored: true, val: `{"event":"A","user_id":"` + long + `"}`, reason: "no_user"},
	{key: "u", val: `{}`, reason: "no_event", detail: "event is missing"},
	{key: "u", val: `{"event":null}`, reason: "no_event", detail: "event is missing"},
	{key: "u", val: `{"event":""}`, reason: "no_event", detail: "event is empty"},
	{key: "u", val: `{"event":["A"]}`, reason: "no_event", detail: "event is a list"},
	{key: "u", val: `{"event":"A","time":"yesterday"}`, reason: "bad_time", detail: `"yesterday"`},
	{key: "u", val: `{"event":"A","time":""}`, reason: "bad_time"},
	{key: "u", val: `{"event":"A","time":"1764000000123"}`, reason: "bad_time"},
	{key: "u", val: `{"event":"A","time":true}`, reason: "bad_time", detail: "a boolean"},
	{key: "u", val: `{"event":"A","time":-1}`, reason: "bad_time", detail: `time "-1"`},
	{key: "u", val: `{"event":"A","time":-0.5}`, reason: "bad_time"},
	{key: "u", val: `{"event":"A","time":253402300800000}`, reason: "bad_time"},
	{key: "u", val: `{"event":"A","time":1e400}`, reason: "bad_time"},
	{key: "u", val: `{"event":"A","time":"1969-12-31T23:59:59.999Z"}`, reason: "bad_time", detail: "from 1970"},
	{key: "u", val: `{"event":"A","time":"` + strings.Repeat("9", 5000) + `"}`, reason: "bad_time", detail: "…"},
	{key: "u", val: `{"event":"A","properties":[]}`, reason: "bad_properties", detail: "properties is a list"},
	{key: "u", val: `{"event":"A","properties":"{}"}`, reason: "bad_properties", detail: "properties is a string"},
	{key: "u", val: `{"event":"A","properties":{},"profile":0}`, reason: "bad_properties", detail: "profile is a number"},
	{key: "u", val: `{"event":"A","properties":{},"properties":false}`, reason: "bad_properties", detail: "properties is a boolean"},
}

func TestEventRejections(t *testing.T) {
	for _, c := range badEvents {
		key := []byte(c.key)
		if c.key == "none" {
			key = nil
		}
		got, r := Envelope{KeyIgnored: c.ignored, MaxBytes: bound}.Event(key, []byte(c.val), 1764000000999)
		shown := c.val[:min(len(c.val), 80)]
		switch {
		case r == nil:
			t.Errorf("key %.20q, %s: accepted as %+v", c.key, shown, got)
		case r.Reason != c.reason || !strings.Contains(r.Detail, c.detail):
			t.Errorf("key %.20q, %s: %s: %s; want %s: …%s…", c.key, shown, r.Reason, r.Detail, c.reason, c.detail)
		case len(r.Detail) > 300 || r.Detail == "":
			t.Errorf("key %.20q, %s: the detail has %d bytes", c.key, shown, len(r.Detail))
		}
	}
}

// A record with everything wrong with it is put right bit by bit: each time the next reason shows.
func TestFirstReasonCounts(t *testing.T) {
	steps := []struct{ reason, broken, right string }{
		{ReasonTooLarge, strings.Repeat(" ", bound), ""},
		{ReasonUTF8, "\"\xff\":0,", ""},
		{ReasonJSON, `"a":01,`, ""},
		{ReasonNoUser, `"user_id":"",`, `"user_id":"other",`},
		{ReasonUserDiffers, ``, `"user_id":"u",`},
		{ReasonNoEvent, `"event":"",`, `"event":"A",`},
		{ReasonBadTime, `"time":-1,`, `"time":1,`},
		{ReasonBadProperties, `"properties":0`, `"properties":{}`},
	}
	for right := range len(steps) + 1 {
		val := "{"
		for i, s := range steps {
			if i < right {
				val += s.right
			} else {
				val += s.broken
			}
		}
		_, r := Envelope{MaxBytes: bound}.Event([]byte("u"), []byte(val+"}"), 0)
		if right == len(steps) {
			if r != nil {
				t.Errorf("put right, but %s: %s", r.Reason, r.Detail)
			}
			continue
		}
		if r == nil || r.Reason != steps[right].reason {
			t.Errorf("with %d put right: %+v, want %s", right, r, steps[right].reason)
		}
	}
}

func TestKafkaTimestamps(t *testing.T) {
	for stamp, good := range map[int64]bool{0: true, 253402300799999: true, -1: false, 253402300800000: false} {
		got, r := Envelope{}.Event([]byte("u"), []byte(`{"event":"A"}`), stamp)
		if good && (r != nil || got.Time != stamp) {
			t.Errorf("timestamp %d: time %d, %+v", stamp, got.Time, r)
		}
		if !good && (r == nil || r.Reason != ReasonBadTime) {
			t.Errorf("timestamp %d: %+v", stamp, r)
		}
		if got, r := (Envelope{}).Event([]byte("u"), []byte(`{"event":"A","time":7}`), stamp); r != nil || got.Time != 7 {
			t.Errorf("timestamp %d beside a time: %d, %+v", stamp, got.Time, r)
		}
	}
}

var profiles = []struct {
	key, val   string
	ignored    bool
	user       string
	properties string // "": erased
	reason     string
}{
	{key: "u", val: `{"properties":{"country":"CA","old":null},"time":"2026-11-24T10:44:00Z"}`, user: "u", properties: `{"country":"CA","old":null}`},
	{key: "u", val: `{"properties":{}}`, user: "u", properties: `{}`},
	{key: "u", val: `{"properties":{"a":1,"a":null},"user_id":"u","time":5}`, user: "u", properties: `{"a":null}`},
	{key: "u", val: ``, user: "u"},
	{key: "u", ignored: true, val: ``, user: "u"},
	{key: "u", ignored: true, val: `{"properties":{"a":1}}`, user: "u", properties: `{"a":1}`},
	{key: "p", ignored: true, val: `{"properties":{"a":1},"user_id":"u"}`, user: "u", properties: `{"a":1}`},
	{key: "\xff", ignored: true, val: `{"properties":{"a":1},"user_id":"u"}`, user: "u", properties: `{"a":1}`},
	{key: "\xff", ignored: true, val: ``, reason: "utf8"},
	{key: "\xff", ignored: true, val: `{"properties":{}}`, reason: "utf8"},
	{key: "\xff", val: ``, reason: "utf8"},
	{key: "none", val: ``, reason: "no_user"},
	{key: "none", ignored: true, val: ``, reason: "no_user"},
	{key: "", val: ``, reason: "no_user"},
	{key: strings.Repeat("u", 513), val: ``, reason: "no_user"},
	{key: "none", val: `{"properties":{},"user_id":"u"}`, reason: "no_key"},
	{key: "u", val: `{"properties":{},"user_id":"v"}`, reason: "user_differs"},
	{key: "u", val: `{"country":"CA"}`, reason: "bad_properties"},
	{key: "u", val: `{"properties":null}`, reason: "bad_properties"},
	{key: "u", val: `{"properties":[1]}`, reason: "bad_properties"},
	{key: "u", val: `{"properties":{},"time":"x"}`, reason: "bad_time"},
	{key: "u", val: `{"properties":{},"time":-1}`, reason: "bad_time"},
	{key: "u", val: `{"properties":{}`, reason: "json"},
	{key: "u", val: `null`, reason: "json"},
	{key: "u", val: "\xff", reason: "utf8"},
	{key: "u", val: strings.Repeat(" ", bound+1), reason: "too_large"},
}

func TestProfile(t *testing.T) {
	for _, c := range profiles {
		key := []byte(c.key)
		if c.key == "none" {
			key = nil
		}
		name := strconv.Quote(c.key[:min(len(c.key), 20)]) + " " + c.val[:min(len(c.val), 80)]
		p, erase, r := Envelope{KeyIgnored: c.ignored, MaxBytes: bound}.Profile(key, []byte(c.val))
		if c.reason != "" {
			if r == nil || r.Reason != c.reason || erase || p.User != "" {
				t.Errorf("%s: %+v, erase %v, %+v; want %s", name, p, erase, r, c.reason)
			}
			continue
		}
		if r != nil {
			t.Errorf("%s: %s: %s", name, r.Reason, r.Detail)
			continue
		}
		if p.User != c.user || erase != (c.properties == "") || !erase && string(p.Properties.Append(nil)) != c.properties {
			t.Errorf("%s: user %q, erase %v, %s", name, p.User, erase, p.Properties.Append(nil))
		}
	}
}

func TestDecodedEventOutlivesItsBytes(t *testing.T) {
	key, val := []byte("u-123456"), []byte(reference)
	e, r := Envelope{}.Event(key, val, 0)
	if r != nil {
		t.Fatal(r)
	}
	before := string(e.Properties.Append(nil))
	clear(key)
	clear(val)
	if e.User != "u-123456" || e.Name != "Added To Cart" || string(e.Properties.Append(nil)) != before {
		t.Errorf("overwriting the fetched bytes changed the event: %+v", e)
	}
}

func TestEventAllocatesLittle(t *testing.T) {
	key, val := []byte("u-123456"), []byte(reference)
	if n := testing.AllocsPerRun(100, func() { (Envelope{}).Event(key, val, 0) }); n > 2 {
		t.Errorf("an event takes %v allocations, not a copy and its properties", n)
	}
}
