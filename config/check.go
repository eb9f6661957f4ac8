package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/calendar"
)

const (
	second campaign.Duration = 1000
	day    campaign.Duration = 86_400_000
	year                     = 366 * day
)

var (
	topicName    = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)
	groupName    = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,200}$`)
	endpointName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,63}$`)
)

// check judges what is decoded.
func (c *Config) check(d *document, checks Checks) {
	c.checkKafka(d)
	c.checkTopics(d)
	d.oneOf("key", c.Key, "user", "ignored")
	d.oneOf("on_stop", c.OnStop, "keep", "leave")
	d.oneOf("on_gap", c.OnGap, "stop", "skip")
	d.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	d.oneOf("log.format", c.Log.Format, "json", "console")
	d.oneOf("history.properties", c.History.Properties, "all", "referenced")
	d.between("lanes", c.Lanes, 0, 10_000)
	d.between("state.standbys", c.State.Standbys, 0, 10)
	d.between("history.max_events", c.History.MaxEvents, 1, 100_000_000)
	d.between("history.max_open", c.History.MaxOpen, 1, 1_000_000)
	d.duration("history.max_age", c.History.MaxAge, 0, 100*year)
	d.duration("state.keep", c.State.Keep, 0, year)
	d.duration("session_timeout", c.SessionTimeout, second, 1800*second)
	d.duration("transaction_timeout", c.TransactionTimeout, second, 15*second)
	d.duration("allowed_lateness", c.AllowedLateness, 0, year)
	d.duration("max_future", c.MaxFuture, 0, year)
	d.duration("settle", c.Settle, 0, year)
	d.duration("watermark_slack", c.WatermarkSlack, 0, day)
	d.duration("dedupe", c.Dedupe, 0, year)
	d.size("memory", c.Memory, 32<<20, 1<<50)
	d.size("limits.max_record_bytes", c.Limits.MaxRecordBytes, 1<<10, 1<<30)
	if _, ok := calendar.LoadZone(c.Timezone); !ok {
		d.wrong("timezone", "", "unknown time zone %q; expected an IANA name as in America/Toronto", c.Timezone)
	}
	if c.DeliveriesAsEvents && c.Key == "ignored" {
		d.wrong("deliveries_as_events", "", "`deliveries_as_events` needs `key: user`: with `key: ignored` only the producer knows to which partition a user's events go")
	}
	if c.DeliveriesAsEvents && c.Format.Name != "tripline" {
		d.wrong("deliveries_as_events", "", "`deliveries_as_events` needs `format: tripline`, the form in which these events are written")
	}
	if c.TimezoneProperty == "" {
		d.wrong("timezone_property", "", "`timezone_property`: expected the name of a profile property")
	}
	if c.State.Dir == "" {
		d.wrong("state.dir", "", "`dir`: expected a folder")
	}
	if c.HTTP.Listen != "" {
		if _, port, err := net.SplitHostPort(c.HTTP.Listen); err != nil || !isPort(port, 0) {
			d.wrong("http.listen", "", "`listen`: expected an address as in 127.0.0.1:8080, not %q", c.HTTP.Listen)
		}
	}
	for i, pattern := range c.Campaigns {
		if pattern == "" {
			d.wrong(fmt.Sprintf("campaigns[%d]", i), "", "`campaigns`: expected file names or globs")
		}
	}
	c.checkCaps(d)
	names := map[string]bool{}
	for i := range c.Endpoints {
		at := fmt.Sprintf("endpoints[%d]", i)
		c.Endpoints[i].check(d, at, checks)
		if name := c.Endpoints[i].Name; names[name] {
			d.wrong(at+".name", "", "the name `%s` is taken by another endpoint", name)
		}
		names[c.Endpoints[i].Name] = true
	}
}

func (c *Config) checkKafka(d *document) {
	if len(c.Kafka.Brokers) == 0 {
		d.wrong("kafka.brokers", "", "`brokers`: expected at least one broker")
	}
	for i, broker := range c.Kafka.Brokers {
		host, port, err := net.SplitHostPort(broker)
		if err != nil || host == "" || !isPort(port, 1) {
			d.wrong(fmt.Sprintf("kafka.brokers[%d]", i), "", "`brokers`: expected host:port as in localhost:9092, not %q", broker)
		}
	}
	if tls := c.Kafka.TLS; tls != nil && (tls.Cert == "") != (tls.Key == "") {
		d.wrong("kafka.tls", "", "`tls`: cert and key belong together")
	}
	if sasl := c.Kafka.SASL; sasl != nil {
		d.oneOf("kafka.sasl.mechanism", sasl.Mechanism, "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
		if sasl.Username.Reveal() == "" {
			d.missing("kafka.sasl.username")
		}
		if sasl.Password.Reveal() == "" {
			d.missing("kafka.sasl.password")
		}
	}
}

func (c *Config) checkTopics(d *document) {
	if !groupName.MatchString(c.Group) {
		d.wrong("group", "", "`group`: expected 1 to 200 letters, digits, dots, hyphens and underscores, not %q", c.Group)
	}
	if len(c.Topics.Events) == 0 {
		d.wrong("topics.events", "", "`events`: expected at least one topic")
	}
	taken := map[string]string{}
	topic := func(path, name string) {
		if !topicName.MatchString(name) || name == "." || name == ".." {
			d.wrong(path, "", "%s: expected the name of a topic (letters, digits, dots, hyphens, underscores), not %q", keyName(path), name)
			return
		}
		if other, ok := taken[name]; ok {
			d.wrong(path, "", "%s: the topic %s is `%s` already", keyName(path), name, other)
			return
		}
		taken[name] = path
	}
	for i, name := range c.Topics.Events {
		topic(fmt.Sprintf("topics.events[%d]", i), name)
	}
	if c.Topics.Profiles != "" {
		topic("topics.profiles", c.Topics.Profiles)
	}
	topic("topics.triggers", c.Topics.Triggers)
	topic("topics.decisions", c.Topics.Decisions)
	topic("topics.deliveries", c.Topics.Deliveries)
	topic("topics.dead_letters", c.Topics.DeadLetters)
}

func (c *Config) checkCaps(d *document) {
	first := map[string]bool{}
	for i, limit := range c.Caps {
		at := fmt.Sprintf("caps[%d]", i)
		switch {
		case limit.Name == "":
			d.missing(at + ".name")
		case first[limit.Name]:
			d.wrong(at+".name", "", "the name `%s` is taken by another cap", limit.Name)
		}
		first[limit.Name] = true
		if d.found[at+".max"].value == nil {
			d.missing(at + ".max")
		} else if limit.Max < 1 {
			d.wrong(at+".max", "", "`max`: expected at least 1, not %d; to stop a campaign write enabled: false", limit.Max)
		}
		if d.found[at+".per"].value == nil {
			d.missing(at + ".per")
		} else {
			d.duration(at+".per", limit.Per, 1, 10*year)
		}
		for j, tag := range limit.Tags {
			if tag == "" {
				d.wrong(fmt.Sprintf("%s.tags[%d]", at, j), "", "`tags`: expected the tags of campaigns")
			}
		}
		if limit.Tags != nil && len(limit.Tags) == 0 {
			d.wrong(at+".tags", "", "`tags`: expected at least one; left out, the cap counts all campaigns")
		}
	}
}

var (
	headerName = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$") // RFC 9110, 5.6.2

	// ownHeaders are those that the sink sets itself, credentials those that hold no template.
	ownHeaders  = []string{"host", "content-length", "transfer-encoding"}
	credentials = []string{"authorization", "proxy-authorization", "cookie", "x-api-key"}
)

func (e *Endpoint) checkHeaders(d *document, at string) {
	for name, value := range e.Headers {
		path, lower := at+".headers."+name, strings.ToLower(name)
		switch {
		case !headerName.MatchString(name):
			d.wrong(path, "", "%q cannot be the name of a header", name)
		case slices.Contains(ownHeaders, lower) || strings.HasPrefix(lower, "webhook-"):
			d.wrong(path, "", "the header `%s` cannot be set", name)
		case strings.ContainsFunc(value.Reveal(), func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
			d.wrong(path, "", "the header `%s` cannot hold control characters", name)
		case slices.Contains(credentials, lower):
			e.Headers[name] = value.secret()
			if strings.Contains(value.Reveal(), "{{") || strings.Contains(value.Reveal(), "{%") {
				d.wrong(path, "", "the header `%s` takes a constant or ${NAME}, never a template", name)
			}
		}
	}
}

// checkURL reports whether the url can be used at all.
func (e *Endpoint) checkURL(d *document, at string, checks Checks) bool {
	good := true
	wrong := func(format string, args ...any) {
		good = false
		d.wrong(at+".url", "", "`url`: "+format, args...)
	}
	text := e.URL.Reveal()
	if text == "" {
		d.missing(at + ".url")
		return false
	}
	scheme, rest, absolute := strings.Cut(text, "://")
	authority := rest
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority = rest[:end]
	}
	if strings.Contains(scheme+authority, "{{") {
		wrong("scheme and host cannot hold a template")
		return false
	}
	parsed, err := url.Parse(scheme + "://" + authority)
	switch {
	case !absolute || err != nil || parsed.Hostname() == "":
		wrong("expected an address as in https://example.com/hook")
	case parsed.Scheme != "http" && parsed.Scheme != "https":
		wrong("expected https")
	case parsed.User != nil:
		wrong("no user name and password here: set an Authorization header")
	case parsed.Port() != "" && !isPort(parsed.Port(), 1):
		wrong("expected a port from 1 to 65535")
	case parsed.Scheme == "http" && !e.AllowPrivate:
		wrong("plain http needs `allow_private: true`; expected https")
	}
	if good {
		e.checkHost(parsed.Hostname(), wrong, checks)
	}
	return good
}

// checkHost refuses hosts that are private on their face. What a name resolves to is checked when it is dialled.
func (e *Endpoint) checkHost(host string, wrong func(string, ...any), checks Checks) {
	addr, err := netip.ParseAddr(host)
	lower := strings.TrimSuffix(strings.ToLower(host), ".")
	switch {
	case err != nil && isNumeric(lower):
		wrong("a host that is a number is an address in disguise: write it in full, as in 192.0.2.1")
	case e.AllowPrivate:
	case lower == "localhost" || strings.HasSuffix(lower, ".localhost"),
		err == nil && checks.Refused != nil && checks.Refused(addr):
		wrong("%s is inside; an endpoint there needs `allow_private: true`", host)
	}
}

// isNumeric reports whether a host would be read as an IPv4 address by inet_aton: its last label is a number in some base.
func isNumeric(host string) bool {
	label := host[strings.LastIndexByte(host, '.')+1:]
	_, err := strconv.ParseUint(strings.TrimPrefix(label, "0x"), 16, 64)
	if strings.HasPrefix(label, "0x") {
		return err == nil || label == "0x"
	}
	return label != "" && strings.Trim(label, "0123456789") == ""
}

func isPort(text string, low uint64) bool {
	port, err := strconv.ParseUint(text, 10, 16)
	return err == nil && port >= low
}

// wrong notes what is wrong at a path, unless it follows from what is known to be wrong there.
func (d *document) wrong(path, suggestion, format string, args ...any) {
	if d.follows(path) {
		return
	}
	d.problem(d.standing(path), path, suggestion, format, args...)
}

func (d *document) missing(path string) {
	d.wrong(path, "", "%s is missing", keyName(path))
}

func (d *document) oneOf(path, value string, allowed ...string) {
	if slices.Contains(allowed, value) {
		return
	}
	last := len(allowed) - 1
	d.wrong(path, nearest(value, allowed), "%s: expected %s or %s, not %q", keyName(path), strings.Join(allowed[:last], ", "), allowed[last], value)
}

func (d *document) between(path string, n, low, high int) {
	if n < low || n > high {
		d.wrong(path, "", "%s: expected a number from %d to %d, not %d", keyName(path), low, high, n)
	}
}

func (d *document) duration(path string, value, low, high campaign.Duration) {
	if value < low || value > high {
		show := func(v campaign.Duration) string { return calendar.FormatDuration(int64(v)) }
		d.wrong(path, "", "%s: expected a duration from %s to %s, not %s", keyName(path), show(low), show(high), show(value))
	}
}

func (d *document) size(path string, value, low, high Size) {
	if value < low || value > high {
		d.wrong(path, "", "%s: expected a size from %s to %s, not %s", keyName(path), low, high, value)
	}
}
