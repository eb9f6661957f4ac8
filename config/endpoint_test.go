package config

import (
	"net/netip"
	"testing"

	"github.com/tripline/tripline/processor/campaign"
)

func TestEndpointURL(t *testing.T) {
	refused := func(a netip.Addr) bool { return a.IsPrivate() || a.IsLoopback() }
	for _, c := range []struct {
		url     string
		private bool
		want    string // what is wrong
	}{
		{"https://example.com/hooks/{{ Profile.x }}?a={{ Event.b }}", false, ""},
		{"https://example.com:8443", false, ""},
		{"https://93.184.216.34/", false, ""},
		{"https://0xyz.example/", false, ""},
		{"http://10.0.0.1:8080/x", true, ""},
		{"http://localhost/x", true, ""},
		{"https://[::1]/x", true, ""},
		{"http://example.com/", false, "`url`: plain http needs `allow_private: true`; expected https"},
		{"ftp://example.com/", false, "`url`: expected https"},
		{"example.com/x", false, "`url`: expected an address as in https://example.com/hook"},
		{"https:///x", false, "`url`: expected an address as in https://example.com/hook"},
		{"https://u:p@example.com/", false, "`url`: no user name and password here: set an Authorization header"},
		{"https://example.com:0/", false, "`url`: expected a port from 1 to 65535"},
		{"https://{{ Profile.x }}.example.com/", false, "`url`: scheme and host cannot hold a template"},
		{"{{ Profile.x }}://example.com/", false, "`url`: scheme and host cannot hold a template"},
		{"https://10.0.0.1/", false, "`url`: 10.0.0.1 is inside; an endpoint there needs `allow_private: true`"},
		{"https://[::1]/", false, "`url`: ::1 is inside; an endpoint there needs `allow_private: true`"},
		{"https://LOCALHOST./", false, "`url`: LOCALHOST. is inside; an endpoint there needs `allow_private: true`"},
		{"https://a.localhost/", false, "`url`: a.localhost is inside; an endpoint there needs `allow_private: true`"},
		{"https://127.1/", true, "`url`: a host that is a number is an address in disguise: write it in full, as in 192.0.2.1"},
		{"https://0x7f.1/", true, "`url`: a host that is a number is an address in disguise: write it in full, as in 192.0.2.1"},
		{"https://2130706433/", false, "`url`: a host that is a number is an address in disguise: write it in full, as in 192.0.2.1"},
		{"https://0x7f000001/", false, "`url`: a host that is a number is an address in disguise: write it in full, as in 192.0.2.1"},
		{"https://017700000001/", false, "`url`: a host that is a number is an address in disguise: write it in full, as in 192.0.2.1"},
	} {
		d := &document{file: &file{name: "f"}}
		d.decodeDocument(new(Config))
		e := DefaultEndpoint()
		e.Name, e.URL, e.AllowPrivate = "x", PlainText(c.url), c.private
		e.check(d, "endpoints[0]", Checks{Refused: refused})
		got := ""
		for _, p := range d.file.finish() {
			got += p.Message
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.url, got, c.want)
		}
	}
}

func TestSigningNeedsASecretWithoutEnd(t *testing.T) {
	ending := SigningSecret{Until: new(campaign.Time)}
	for _, c := range []struct {
		secrets []SigningSecret
		want    string
	}{
		{nil, "`secrets`: expected at least one secret"},
		{[]SigningSecret{ending}, "`secrets`: expected one without `until`, or requests go unsigned some day"},
		{[]SigningSecret{ending, {}}, ""},
	} {
		d := &document{file: &file{name: "f"}}
		d.decodeDocument(new(Config))
		e := DefaultEndpoint()
		e.Name, e.URL, e.Signing = "x", PlainText("https://example.com/"), &Signing{Secrets: c.secrets}
		e.check(d, "endpoints[0]", Checks{})
		got := ""
		for _, p := range d.file.finish() {
			got += p.Message
		}
		if got != c.want {
			t.Errorf("%d secrets: got %q, want %q", len(c.secrets), got, c.want)
		}
	}
}
