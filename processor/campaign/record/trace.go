package record

// Traceparent is the header in which a trace goes from an event's record to its trigger's, and to the request (W3C Trace Context). It is
// handed on as it is: Tripline has no spans of its own that another one could be the child of.
const Traceparent = "traceparent"

// IsTraceparent reports whether a header's value is of version 00: version, trace id, parent id and flags in hexadecimal digits.
func IsTraceparent(value []byte) bool {
	if len(value) != 55 || value[0] != '0' || value[1] != '0' {
		return false
	}
	for i, c := range value {
		switch {
		case i == 2 || i == 35 || i == 52:
			if c != '-' {
				return false
			}
		case c < '0' || c > '9' && c < 'a' || c > 'f':
			return false
		}
	}
	return !zeros(value[3:35]) && !zeros(value[36:52])
}

func zeros(digits []byte) bool {
	for _, c := range digits {
		if c != '0' {
			return false
		}
	}
	return true
}
