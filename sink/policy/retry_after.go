package policy

import (
	"net/http"
	"strconv"
	"strings"
)

// MaxRetryAfter bounds what an endpoint can ask for, in ms.
const MaxRetryAfter = 3_600_000

// RetryAfter reads a Retry-After header (RFC 9110, 10.2.3) as it came at the moment now: seconds or a date. It returns how
// many ms to wait from now on, at most an hour; 0 where it says nothing or has passed.
func RetryAfter(header string, now int64) int64 {
	header = strings.TrimSpace(header)
	if header == "" {
		return 0
	}
	if strings.Trim(header, "0123456789") == "" {
		seconds, err := strconv.ParseInt(header, 10, 64)
		if err != nil || seconds > MaxRetryAfter/1000 {
			return MaxRetryAfter
		}
		return seconds * 1000
	}
	t, err := http.ParseTime(header)
	if err != nil {
		return 0
	}
	return max(0, min(t.UnixMilli()-now, MaxRetryAfter))
}
