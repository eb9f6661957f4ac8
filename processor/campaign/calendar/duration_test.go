package calendar

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]int64{
		"500ms": 500, "90s": 90_000, "30m": 1_800_000, "12h": 43_200_000, "3d": 3 * day, "2w": 14 * day,
		"1d12h": 36 * 3600_000, "1m30s": 90_000, "1h1ms": 3600_001, "0s": 0, "0m": 0, "-3h": -3 * 3600_000, "-1d12h": -36 * 3600_000,
		"12h1d": 36 * 3600_000, "007s": 7000, "3660000d": maxDuration,
	} {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("ParseDuration(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"": "expected a duration", "5": "expected a duration", "-": "expected a duration", "m": "expected a duration",
		"1.5h": "expected a duration", "1h ": "expected a duration", " 1h": "expected a duration", "1 h": "expected a duration",
		"1H": "expected a duration", "1y": "expected a duration", "1hm": "expected a duration", "+1h": "expected a duration",
		"--1h": "expected a duration", "1d-1h": "expected a duration", "1us": "expected a duration", "1µs": "expected a duration",
		"3660001d": "longer than", "3660000d1ms": "longer than", "99999999999999999999s": "longer than",
		"9223372036854775807w": "longer than", strings.Repeat("9", 200) + "h": "…",
	} {
		if got, err := ParseDuration(text); err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 200 {
			t.Errorf("ParseDuration(%q) = %d, %v; want an error with %q", text, got, err, want)
		}
	}
}

func TestFormatDuration(t *testing.T) {
	for ms, want := range map[int64]string{
		0: "0s", 1: "1ms", 1000: "1s", 90_000: "1m30s", 36 * 3600_000: "1d12h", 14 * day: "14d", -3 * 3600_000: "-3h",
		math.MinInt64: "-106751991167d7h12m55s808ms",
	} {
		if got := FormatDuration(ms); got != want {
			t.Errorf("FormatDuration(%d) = %s, want %s", ms, got, want)
		}
	}
	random := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		ms := random.Int64N(maxDuration) >> random.IntN(48)
		if random.IntN(2) == 0 {
			ms = -ms
		}
		if got, err := ParseDuration(FormatDuration(ms)); err != nil || got != ms {
			t.Fatalf("%d is written %s and read %d, %v", ms, FormatDuration(ms), got, err)
		}
	}
}
