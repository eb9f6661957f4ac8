package config

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/calendar"
)

// Start is where a lane without a position begins: StartEarliest, StartLatest, or a time in milliseconds since the epoch.
type Start int64

// The starts that are not times; the numbers are those of Kafka's ListOffsets.
const (
	StartLatest   Start = -1
	StartEarliest Start = -2
)

// UnmarshalText reads earliest, latest or RFC 3339.
func (s *Start) UnmarshalText(text []byte) error {
	switch string(text) {
	case "earliest":
		*s = StartEarliest
	case "latest":
		*s = StartLatest
	default:
		ms, err := calendar.ParseTime(string(text))
		if err != nil {
			return fmt.Errorf("expected earliest, latest or a time as in 2026-11-24T10:44:00Z, not %q", text)
		}
		*s = Start(ms)
	}
	return nil
}

// Size is a number of bytes, written as 512MiB, 64KB or plainly as 1048576.
type Size int64

// UnmarshalText reads a whole number with one of the units B, KB, MB, GB (powers of 1000), KiB, MiB, GiB (powers of 1024).
func (s *Size) UnmarshalText(text []byte) error {
	number := strings.TrimRight(string(text), "BiKMG")
	unit, ok := map[string]int64{
		"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
	}[string(text)[len(number):]]
	n, err := strconv.ParseInt(number, 10, 64)
	if !ok || err != nil || n < 0 || n > (1<<62)/unit {
		return fmt.Errorf("expected a size as in 512MiB, not %q", text)
	}
	*s = Size(n * unit)
	return nil
}

// String is the size in the largest unit that divides it.
func (s Size) String() string {
	for shift, unit := range []string{"GiB", "MiB", "KiB"} {
		if size := Size(1) << (30 - 10*shift); s != 0 && s%size == 0 {
			return strconv.FormatInt(int64(s/size), 10) + unit
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// Percent is a share of one, written as 20%.
type Percent float64

// UnmarshalText reads a number and its percent sign.
func (p *Percent) UnmarshalText(text []byte) error {
	number, ok := strings.CutSuffix(string(text), "%")
	f, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || !(f >= 0 && f <= 100) {
		return fmt.Errorf("expected a share from 0%% to 100%%, not %q", text)
	}
	*p = Percent(f / 100)
	return nil
}

// Statuses is a range of HTTP statuses, both ends in it, written as 404 or 200-299.
type Statuses struct{ Low, High int }

// UnmarshalText reads one status or two with a hyphen between them.
func (s *Statuses) UnmarshalText(text []byte) error {
	low, high, ranged := strings.Cut(string(text), "-")
	if !ranged {
		high = low
	}
	l, err1 := strconv.Atoi(low)
	h, err2 := strconv.Atoi(high)
	if err1 != nil || err2 != nil || l < 100 || h > 599 || l > h {
		return fmt.Errorf("expected an HTTP status or a range of them as in 200-299, not %q", text)
	}
	*s = Statuses{Low: l, High: h}
	return nil
}

// Contains reports whether the status lies in the range.
func (s Statuses) Contains(status int) bool { return s.Low <= status && status <= s.High }

// Text is a value that may come from the environment or from a mounted file (`file:PATH`), and may then be secret. It prints
// itself only where it stands in the configuration file in plain sight.
type Text struct {
	value   string
	secrets []string
}

// PlainText is a text that is no secret.
func PlainText(s string) Text { return Text{value: s} }

// Reveal is the text itself, never to be logged where Hidden.
func (t Text) Reveal() string { return t.value }

// Hidden reports whether the text, or a part of it, came from the environment or a file, or is a secret by its place.
func (t Text) Hidden() bool { return len(t.secrets) > 0 }

// Secrets are the parts of the text that must not be shown: what came from the environment or a file, or the whole.
func (t Text) Secrets() []string { return t.secrets }

// secret is the text as one that must not be shown.
func (t Text) secret() Text {
	if !t.Hidden() {
		t.secrets = []string{t.value}
	}
	return t
}

// String is the text, or *** where Hidden.
func (t Text) String() string {
	if t.Hidden() {
		return "***"
	}
	return t.value
}

// GoString is String, so that no verb of fmt prints a secret.
func (t Text) GoString() string { return strconv.Quote(t.String()) }

// Secret is a Text that is always Hidden, and that is not shown in the lines of a problem either.
type Secret struct{ Text }

func (t *Text) decodeNode(d *document, n *node, path string) { t.read(d, n, path, false) }

func (s *Secret) decodeNode(d *document, n *node, path string) { s.read(d, n, path, true) }

// SigningSecret is a secret of Standard Webhooks; written as {value: …, until: TIME}, it is in use before that moment.
type SigningSecret struct {
	Value Secret         `yaml:"value" required:"true"`
	Until *campaign.Time `yaml:"until"` // nil: it has no end
}

func (s *SigningSecret) decodeNode(d *document, n *node, path string) {
	if n.kind == mapping {
		d.decodeStruct(n, path, reflect.ValueOf(s).Elem())
		if s.Value.Reveal() == "" {
			d.missing(path + ".value")
		}
		return
	}
	s.Value.decodeNode(d, n, path)
}

// Registry is a schema registry, written as its URL or as the mapping below. Without a URL there is none.
type Registry struct {
	URL      Text   `yaml:"url" required:"true"` // may hold user and password
	Username Text   `yaml:"username"`
	Password Secret `yaml:"password"`
	TLS      *TLS   `yaml:"tls"` // nil: the system's roots, no certificate
}

func (r *Registry) decodeNode(d *document, n *node, path string) {
	at := path
	if n.kind == mapping {
		d.decodeStruct(n, path, reflect.ValueOf(r).Elem())
		if at = path + ".url"; r.URL.Reveal() == "" {
			d.missing(at)
			return
		}
	} else if r.URL.decodeNode(d, n, path); r.URL.Reveal() == "" {
		return
	}
	where := d.entry(at).value
	u, err := url.Parse(r.URL.Reveal())
	if strings.Contains(r.URL.Reveal(), "@") {
		r.URL = r.URL.secret()
		if !elsewhere.MatchString(where.text) {
			d.file.hidden = append(d.file.hidden, where)
		}
	}
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		d.problem(where, at, "", "`registry`: expected a URL as in https://registry.example.com:8081; a user or password with special characters goes into {url: …, username: …, password: …}")
	case u.User != nil && r.Username.Reveal() != "":
		d.problem(where, at, "", "`registry`: the user is given twice, in `url` and as `username`")
	case (r.Username.Reveal() == "") != (r.Password.Reveal() == ""):
		d.problem(where, at, "", "`registry`: username and password belong together")
	case r.TLS != nil && (r.TLS.Cert == "") != (r.TLS.Key == ""):
		d.wrong(path+".tls", "", "`tls`: cert and key belong together")
	}
}

func (t *Text) read(d *document, n *node, path string, secret bool) {
	given, ok := d.expand(n, path)
	switch {
	case !ok:
		return
	case n.isNull():
		d.problem(n, path, "", "%s has no value; leave it out, or give it one", keyName(path))
		return
	case n.kind != scalar:
		d.problem(n, path, "", "%s: expected text, not %s", keyName(path), n.describe())
		return
	case given.style == plain && given.class() != text:
		d.problem(n, path, "", "%s: expected text; put it in quotes", keyName(path))
		return
	}
	t.value, t.secrets = given.text, given.secrets
	if from, ok := strings.CutPrefix(given.text, "file:"); ok {
		content, err := os.ReadFile(d.path(from))
		if err != nil {
			d.problem(n, path, "", "%s: the file cannot be read: %s", keyName(path), cause(err))
			return
		}
		d.read = append(d.read, d.path(from))
		d.file.outside = append(d.file.outside, strings.TrimSpace(string(content)))
		line, ended := strings.CutSuffix(string(content), "\n")
		if t.value = line; ended {
			t.value = strings.TrimSuffix(line, "\r")
		}
		t.secrets = []string{t.value}
	}
	if secret {
		t.secrets = []string{t.value}
	}
}

// PEM is a text of PEM blocks, or the name of a file that holds them.
type PEM struct{ Secret }

func (p *PEM) decodeNode(d *document, n *node, path string) {
	if n.kind == scalar && strings.Contains(n.text, pemBegin) {
		d.file.hidden = append(d.file.hidden, n)
	}
	before := len(d.failed)
	p.Secret.decodeNode(d, n, path)
	if len(d.failed) > before || strings.Contains(p.value, pemBegin) {
		return
	}
	name := d.path(p.value)
	content, err := os.ReadFile(name)
	switch {
	case p.value == "" || strings.HasPrefix(n.text, "file:"):
		d.problem(n, path, "", "%s: expected a PEM text, or the name of a file with one", keyName(path))
		return
	case err != nil:
		d.problem(n, path, "", "%s: the file cannot be read: %s", keyName(path), cause(err))
		return
	}
	d.read = append(d.read, name)
	p.value, p.secrets = string(content), []string{string(content)}
}

// pemBegin is how a PEM block begins (RFC 7468).
const pemBegin = "-----BEGIN "

// ProxyURL is a url that may hold a password, which is not shown in the lines of a problem.
type ProxyURL struct{ Secret }

func (p *ProxyURL) decodeNode(d *document, n *node, path string) {
	if n.kind == scalar && strings.Contains(n.text, "@") {
		d.file.hidden = append(d.file.hidden, n)
	}
	p.Secret.decodeNode(d, n, path)
}

// path is a path of the file, from where the process stands.
func (d *document) path(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(d.file.name), path)
}

var (
	variable     = regexp.MustCompile(`\$\{([^}]*)\}`)
	variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// expand puts the environment into a scalar; ok is false where that is not possible.
func (d *document) expand(n *node, path string) (out *node, ok bool) {
	if d.environment == nil || n.kind != scalar || n.style == outside || !strings.Contains(n.text, "${") {
		return n, true
	}
	ok = true
	wrong := func(at int, format string, args ...any) {
		ok = false
		place := *n
		if places := d.file.places(n); places != nil {
			p := places[utf8.RuneCountInString(n.text[:at])]
			place.line, place.column = p.line, p.column
		}
		d.problem(&place, path, "", format, args...)
	}
	var b strings.Builder
	copied := *n
	out = &copied
	end := 0
	for _, m := range variable.FindAllStringSubmatchIndex(n.text, -1) {
		key := n.text[m[2]:m[3]]
		value, set := d.environment(key)
		if !variableName.MatchString(key) {
			wrong(m[0], "`${%s}`: expected the name of an environment variable as in ${NAME}", key)
		} else if !set {
			wrong(m[0], "the environment variable %s is not set", key)
		}
		b.WriteString(n.text[end:m[0]] + value)
		end = m[1]
		if value != "" {
			out.secrets = append(out.secrets, value)
			d.file.outside = append(d.file.outside, value)
		}
	}
	b.WriteString(n.text[end:])
	out.text, out.style = b.String(), outside
	return out, ok
}
