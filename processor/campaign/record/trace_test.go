package record

import (
	"strings"
	"testing"
)

func TestIsTraceparent(t *testing.T) {
	for text, want := range map[string]bool{
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01":   true,
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00":   true,
		"01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01":   false,
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01":   false,
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01":   false,
		"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01":   false,
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x": false,
		"00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01":   false,
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-\r\n": false,
		"": false,
	} {
		if IsTraceparent([]byte(text)) != want {
			t.Errorf("%q: not %v", text, want)
		}
	}
}

// A trace is handed on with all of its state, and a state without a parent not at all.
func TestTrace(t *testing.T) {
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	long := strings.Repeat("v", 600)
	for want, headers := range map[string][]string{
		"":                      {Tracestate, "a=1", Traceparent, "nonsense"},
		"traceparent=" + parent: {"other", "x", Traceparent, parent, Traceparent, parent[:53] + "00", Tracestate, "a=\r\nb", Tracestate, ""},
		"traceparent=" + parent + " tracestate=a=1,b=" + long: {Tracestate, "a=1", Traceparent, parent, Tracestate, "b=" + long, Tracestate, strings.Repeat(long, 3)},
	} {
		var trace Trace
		for i := 0; i < len(headers); i += 2 {
			trace.Add(headers[i], []byte(headers[i+1]))
		}
		var got []string
		for name, value := range trace.Headers() {
			got = append(got, name+"="+value)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
