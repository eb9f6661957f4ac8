package record

import (
	"testing"

	"github.com/tripline/tripline/processor/campaign/calendar"
)

// TestFormats reads the examples that the formats' own pages give, and what is wrong with them.
func TestFormats(t *testing.T) {
	cloud := func(attributes ...string) (list []Header) {
		list = append(list, Header{Name: "content-type", Value: []byte("application/json")})
		for i := 0; i < len(attributes); i += 2 {
			list = append(list, Header{Name: "ce_" + attributes[i], Value: []byte(attributes[i+1])})
		}
		return list
	}
	segment, events := Format{Kind: FormatSegment}, Format{Kind: FormatCloudEvents}
	mapped := Format{Kind: FormatMapping, Mapping: Mapping{User: "who.id", Event: "name", Time: "meta.at", ID: "meta.id", Properties: "data", Profile: "who.traits"}}
	whole := Format{Kind: FormatMapping, Mapping: Mapping{Event: "kind", Properties: "."}}
	for _, c := range []struct {
		name    string
		format  Format
		key     string
		value   string
		headers []Header
		want    string // user, event, id, time, properties, profile, or the reason
	}{
		{"track", segment, "AiUGstSDIg", `{"anonymousId":"23adfd82","context":{"library":{"name":"analytics.js"}},"event":"Course Clicked","integrations":{},
			"messageId":"ajs-f8ca1e4de5024d9430b3928bd8ac6b96","properties":{"title":"Intro to Analytics"},"receivedAt":"2015-12-12T19:11:01.266Z",
			"sentAt":"2015-12-12T19:11:01.169Z","timestamp":"2015-12-12T19:11:01.249Z","type":"track","userId":"AiUGstSDIg","originalTimestamp":"2015-12-12T19:11:01.152Z"}`, nil,
			`AiUGstSDIg|Course Clicked|ajs-f8ca1e4de5024d9430b3928bd8ac6b96|2015-12-12T19:11:01.249Z|{"title":"Intro to Analytics"}|{}`},
		{"identify", segment, "97980cfea0067", `{"type":"identify","traits":{"name":"Peter Gibbons","plan":"premium","logins":5},"userId":"97980cfea0067"}`, nil,
			`97980cfea0067|||1970-01-01T00:00:00.007Z|{}|{"name":"Peter Gibbons","plan":"premium","logins":5}`},
		{"page", segment, "a", `{"type":"page","anonymousId":"a","userId":null,"name":"Home","category":"Docs","properties":{"url":"http://x","name":"Start"}}`, nil,
			`a|Page Viewed||1970-01-01T00:00:00.007Z|{"url":"http://x","name":"Start","category":"Docs"}|{}`},
		{"an empty user id is none", segment, "a", `{"type":"track","event":"X","userId":"","anonymousId":"a"}`, nil, `a|X||1970-01-01T00:00:00.007Z|{}|{}`},
		{"screen", segment, "a", `{"type":"screen","anonymousId":"a","name":"Home"}`, nil, `a|Screen Viewed||1970-01-01T00:00:00.007Z|{"name":"Home"}|{}`},
		{"the user id, not the anonymous one, is the key", segment, "anon", `{"type":"track","event":"X","userId":"u","anonymousId":"anon"}`, nil, ReasonUserDiffers},
		{"group", segment, "u", `{"type":"group","userId":"u","groupId":"g"}`, nil, ReasonNoEvent},
		{"track without an event", segment, "u", `{"type":"track","userId":"u"}`, nil, ReasonNoEvent},
		{"identify without an object", segment, "u", `{"type":"identify","userId":"u","traits":[1]}`, nil, ReasonBadProperties},

		{"structured", events, "123", `{"specversion":"1.0","type":"com.github.pull_request.opened","source":"https://github.com/cloudevents/spec/pull","subject":"123",
			"id":"A234-1234-1234","time":"2018-04-05T17:31:00Z","comexampleextension1":"value","datacontenttype":"application/json","data":{"appinfoA":"abc"}}`,
			[]Header{{Name: "content-type", Value: []byte("application/cloudevents+json; charset=UTF-8")}},
			`123|com.github.pull_request.opened|https://github.com/cloudevents/spec/pull#A234-1234-1234|2018-04-05T17:31:00.000Z|{"appinfoA":"abc"}|{}`},
		{"binary", events, "123", `{"appinfoA":"abc"}`, cloud("specversion", "1.0", "type", "com.example.someevent", "source", "/mycontext/subcontext", "id", "1234-1234-1234",
			"subject", "123", "time", "2018-04-05T03:56:24Z"), `123|com.example.someevent|/mycontext/subcontext#1234-1234-1234|2018-04-05T03:56:24.000Z|{"appinfoA":"abc"}|{}`},
		{"binary without a subject", events, "k", `{}`, cloud("specversion", "1.0", "type", "t", "source", "/s", "id", "1"), `k|t|/s#1|1970-01-01T00:00:00.007Z|{}|{}`},
		{"binary without data", events, "k", ``, cloud("specversion", "1.0", "type", "t", "source", "/s", "id", "1"), `k|t|/s#1|1970-01-01T00:00:00.007Z|{}|{}`},
		{"nothing", events, "k", ``, nil, ReasonNull},
		{"data that is text", events, "k", `"abc"`, cloud("specversion", "1.0", "type", "t", "source", "/s", "id", "1"), ReasonBadProperties},
		{"data in base64", events, "k", `{"specversion":"1.0","type":"t","source":"/s","id":"1","data_base64":"AA=="}`, nil, ReasonBadProperties},
		{"no type", events, "k", `{"specversion":"1.0","source":"/s","id":"1"}`, nil, ReasonNoEvent},
		{"bad time", events, "k", `{"specversion":"1.0","type":"t","source":"/s","id":"1","time":"yesterday"}`, nil, ReasonBadTime},
		{"no JSON", events, "k", `<xml/>`, cloud("specversion", "1.0", "type", "t", "source", "/s", "id", "1"), ReasonJSON},

		{"mapping", mapped, "u", `{"name":"Charged","who":{"id":"u","traits":{"vip":true}},"meta":{"at":1733000000123,"id":7},"data":{"amount":5}}`, nil,
			`u|Charged|7|2024-11-30T20:53:20.123Z|{"amount":5}|{"vip":true}`},
		{"a name with the dots itself", mapped, "u", `{"name":"Charged","who.id":"u","who":{"id":"other"}}`, nil, `u|Charged||1970-01-01T00:00:00.007Z|{}|{}`},
		{"the record itself", whole, "u", `{"kind":"Charged","amount":5}`, nil, `u|Charged||1970-01-01T00:00:00.007Z|{"kind":"Charged","amount":5}|{}`},
		{"not an object", mapped, "u", `{"name":"Charged","data":3}`, nil, ReasonBadProperties},
		{"a path through text", mapped, "u", `{"name":"Charged","who":"u"}`, nil, `u|Charged||1970-01-01T00:00:00.007Z|{}|{}`},
	} {
		e, bad := Envelope{Format: c.format}.Event([]byte(c.key), []byte(c.value), 7, c.headers...)
		got := ""
		if bad != nil {
			got = bad.Reason
		} else {
			got = e.User + "|" + e.Name + "|" + e.ID + "|" + calendar.FormatTime(e.Time) + "|" + string(e.Properties.Append(nil)) + "|" + string(e.Profile.Append(nil))
		}
		if got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

// FuzzFormats holds that whatever comes is read or refused, and that what is read has a user.
func FuzzFormats(f *testing.F) {
	f.Add(uint8(1), []byte(`{"type":"page","userId":"u","name":"x"}`), []byte("1.0"))
	f.Add(uint8(2), []byte(`{"specversion":"1.0","type":"t","data":{}}`), []byte(""))
	f.Add(uint8(3), []byte(`{"a":{"b":1},"a.b":{"c":null}}`), []byte(""))
	f.Fuzz(func(t *testing.T, kind uint8, val, header []byte) {
		format := Format{Kind: FormatKind(kind % 4), Mapping: Mapping{User: "a.b", Event: "a.b.c", Properties: "."}}
		e, bad := Envelope{Format: format}.Event([]byte("u"), val, 7, Header{Name: "ce_specversion", Value: header}, Header{Name: "ce_type", Value: header})
		if bad == nil && e.User != "u" {
			t.Errorf("user %q", e.User)
		}
	})
}
