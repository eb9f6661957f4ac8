package calendar

import (
	"math/rand/v2"
	"testing"
	"time"
)

func utc(t *testing.T, text string) int64 {
	t.Helper()
	at, err := time.Parse("2006-01-02T15:04:05.999999999Z07:00", text)
	if err != nil {
		t.Fatal(err)
	}
	return at.UnixMilli()
}

func TestParseTime(t *testing.T) {
	for text, want := range map[string]string{
		"2026-11-24T10:44:00.123Z":       "2026-11-24T10:44:00.123Z",
		"2026-11-24T10:44:00Z":           "2026-11-24T10:44:00Z",
		"2026-11-24t10:44:00.123z":       "2026-11-24T10:44:00.123Z",
		"2026-11-24T10:44:00.1Z":         "2026-11-24T10:44:00.1Z",
		"2026-11-24T10:44:00.1239999Z":   "2026-11-24T10:44:00.123Z",
		"2026-11-24T10:44:00.123+05:30":  "2026-11-24T05:14:00.123Z",
		"2026-11-24T23:44:00-23:59":      "2026-11-25T23:43:00Z",
		"2026-11-24T10:44:00-00:00":      "2026-11-24T10:44:00Z",
		"2024-02-29T00:00:00Z":           "2024-02-29T00:00:00Z",
		"2000-02-29T00:00:00.000Z":       "2000-02-29T00:00:00Z",
		"1970-01-01T00:00:00Z":           "1970-01-01T00:00:00Z",
		"1969-12-31T19:00:00-05:00":      "1970-01-01T00:00:00Z",
		"9999-12-31T23:59:59.999Z":       "9999-12-31T23:59:59.999Z",
		"2016-12-31T23:59:60Z":           "2017-01-01T00:00:00Z",
		"2016-12-31T23:59:60.5Z":         "2017-01-01T00:00:00.5Z",
		"2015-06-30T19:59:60-04:00":      "2015-07-01T00:00:00Z",
		"2016-12-31T23:59:59.9999999Z":   "2016-12-31T23:59:59.999Z",
		"2026-11-24T10:44:00.000000001Z": "2026-11-24T10:44:00Z",
	} {
		if got, err := ParseTime(text); err != nil || got != utc(t, want) {
			t.Errorf("ParseTime(%q) = %s, %v; want %s", text, FormatTime(got), err, want)
		}
	}
	for _, text := range []string{
		"", "x", "2026", "2026-11-24", "2026-11-24T10:44", "2026-11-24T10:44:00", "2026-11-24 10:44:00Z", "2026-11-24T10:44Z",
		"2026-11-24T10:44:00+0530", "2026-11-24T10:44:00+05", "2026-11-24T10:44:00+5:30", "2026-11-24T10:44:00+24:00",
		"2026-11-24T10:44:00+05:60", "2026-11-24T10:44:00,123Z", "2026-11-24T10:44:00.Z", "2026-11-24T1:44:00Z",
		"2026-11-24T10:44:00.123ZZ", "2026-11-24T10:44:00.123Z ", " 2026-11-24T10:44:00.123Z", "2026-1-24T10:44:00Z",
		"26-11-24T10:44:00Z", "+2026-11-24T10:44:00Z", "2026-13-24T10:44:00.000Z", "2026-00-24T10:44:00.000Z",
		"2026-11-31T10:44:00.000Z", "2026-11-00T10:44:00.000Z", "2026-02-29T10:44:00.000Z", "1900-02-29T10:44:00Z",
		"2026-11-24T24:00:00.000Z", "2026-11-24T10:60:00.000Z", "2026-11-24T10:44:61.000Z", "2026-11-24T10:44:60.000Z",
		"2026-11-24T23:59:60Z", "2016-12-31T23:59:60+01:00", "1969-12-31T23:59:59.999Z", "9999-12-31T23:59:60Z",
		"9999-12-31T23:59:59-01:00", "10000-01-01T00:00:00Z", "0000-00-00T00:00:00.000Z", "2026-11-24T10:4a:00.000Z",
		"2026-11-24T10:44:00.12\xb9Z", "2026-11-2\xb9T10:44:00.123Z", "2026-11-24T10:44:00Z+01:00", "1764000000000", "２026-11-24T10:44:00Z",
		"2026/11/24T10:44:00.000Z", "2026-11-24T10.44.00.000Z",
	} {
		if got, err := ParseTime(text); err == nil {
			t.Errorf("ParseTime(%q) = %s, want an error", text, FormatTime(got))
		}
	}
}

func TestParseRFC3339BeforeTheEpoch(t *testing.T) {
	for _, text := range []string{"1969-12-31T23:59:59.999Z", "1900-03-01T00:00:00.000Z", "0001-01-01T00:00:00.000Z", "0000-01-01T00:00:00.000Z"} {
		got, err := ParseRFC3339(text)
		if err != nil || FormatTime(got) != text {
			t.Errorf("%s came back as %s, %v", text, FormatTime(got), err)
		}
	}
	if got, err := ParseRFC3339("1969-12-31T23:59:59.9999Z"); err != nil || got != -1 {
		t.Errorf("cut to %d, %v; want the millisecond before the epoch", got, err)
	}
}

func TestFormatTimeIsThatOfTheTimePackage(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 20_000 {
		ms := minTime + random.Int64N(MaxTime-minTime+1)
		if i%100 == 0 {
			ms = MaxTime + 1 + random.Int64N(1e14) // beyond the year 9999
		}
		want := time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z07:00")
		if got := FormatTime(ms); got != want {
			t.Fatalf("FormatTime(%d) = %s, want %s", ms, got, want)
		}
		if ms > MaxTime {
			continue
		}
		if got, err := ParseRFC3339(want); err != nil || got != ms {
			t.Fatalf("ParseRFC3339(%s) = %d, %v; want %d", want, got, err, ms)
		}
		zone := time.FixedZone("", (random.IntN(2*1439)-1439)*60)
		elsewhere := time.UnixMilli(ms).In(zone)
		if year := elsewhere.Year(); year < 0 || year > 9999 {
			continue
		}
		if got, err := ParseRFC3339(elsewhere.Format(time.RFC3339Nano)); err != nil || got != ms {
			t.Fatalf("ParseRFC3339(%s) = %d, %v; want %d", elsewhere.Format(time.RFC3339Nano), got, err, ms)
		}
	}
}

// FuzzParseTime holds the parser to the time package: what it reads the other reads too, and alike.
func FuzzParseTime(f *testing.F) {
	for _, seed := range []string{"2026-11-24T10:44:00.123Z", "2026-11-24T10:44:00+05:30", "2016-12-31T23:59:60Z", "2026-02-30T00:00:00Z"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ms, err := ParseRFC3339(text)
		if err != nil {
			return
		}
		again, err := ParseRFC3339(FormatTime(ms))
		if year := time.UnixMilli(ms).UTC().Year(); year >= 0 && year <= 9999 && (err != nil || again != ms) {
			t.Fatalf("%q is %s, and that %d, %v", text, FormatTime(ms), again, err)
		}
		upper := []byte(text)
		for i, c := range upper {
			if c == 't' || c == 'z' {
				upper[i] = c &^ 0x20
			}
		}
		want, err := time.Parse(time.RFC3339Nano, string(upper))
		if leap := text[17:19] == "60"; !leap && (err != nil || want.UnixMilli() != ms) {
			t.Fatalf("%q is %d; the time package says %d, %v", text, ms, want.UnixMilli(), err)
		}
	})
}
