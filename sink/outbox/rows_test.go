package outbox

import (
	"testing"

	"github.com/tripline/tripline/processor/campaign/record"
)

// TestRecordFormats holds that a record is read whatever version has written it, and has all of its trace.
func TestRecordFormats(t *testing.T) {
	traced, stated := record.Trace{Parent: "00-1-2-01"}, record.Trace{Parent: "00-1-2-01", State: "a=1"}
	for content, want := range map[string]record.Trace{
		"\x01{}":                     {},
		"\x02\x0900-1-2-01{}":        traced,
		"\x03\x0900-1-2-01\x03a=1{}": stated,
	} {
		trace, raw, ok := splitRecord([]byte(content))
		if !ok || trace != want || string(raw) != "{}" {
			t.Errorf("%q: %v %q %v", content, trace, raw, ok)
		}
		if written := appendRecord(nil, want, []byte("{}")); string(written) != content {
			t.Errorf("%q is written as %q", content, written)
		}
	}
	for _, content := range []string{"", "\x04{}", "\x03\x0900-1"} {
		if _, _, ok := splitRecord([]byte(content)); ok {
			t.Errorf("%q is read", content)
		}
	}
}
