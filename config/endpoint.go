package config

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/tripline/tripline/processor/campaign"
)

// Endpoint is where the sink calls, and how. Name and URL are required, the rest has the defaults of sink.md.
type Endpoint struct {
	Name         string             `yaml:"name" required:"true"`
	URL          Text               `yaml:"url" required:"true"` // a template
	Method       string             `yaml:"method" values:"POST|GET|PUT|PATCH|DELETE"`
	Headers      map[string]Text    `yaml:"headers"` // templates, but for the names that carry credentials
	Query        map[string]Text    `yaml:"query"`   // templates
	Auth         *Auth              `yaml:"auth"`    // nil: none
	Signing      *Signing           `yaml:"signing"` // nil: unsigned
	Timeout      campaign.Duration  `yaml:"timeout"`
	Retry        Retry              `yaml:"retry"`
	Success      []Statuses         `yaml:"success"`
	RateLimit    *RateLimit         `yaml:"rate_limit"` // nil: none
	MaxInFlight  int                `yaml:"max_in_flight"`
	Order        string             `yaml:"order" values:"none|user"`
	OrderTimeout campaign.Duration  `yaml:"order_timeout"` // of user: how long a trigger that fails keeps others behind it
	Batch        Batch              `yaml:"batch"`
	Breaker      Breaker            `yaml:"breaker"`
	DisableAfter *campaign.Duration `yaml:"disable_after"` // of failing without a success; nil: never
	MaxWaiting   int                `yaml:"max_waiting"`
	AllowPrivate bool               `yaml:"allow_private"`
	Proxy        *Proxy             `yaml:"proxy"` // nil: none
	TLS          *EndpointTLS       `yaml:"tls"`   // nil: the system's roots, no certificate
}

// Signing holds the secrets that sign a request, one signature each (Standard Webhooks).
type Signing struct {
	Secrets []SigningSecret `yaml:"secrets" required:"true"`
}

// Retry says when a failed attempt is made again: Schedule are the waits from the end of an attempt, each times (1 ± Jitter).
type Retry struct {
	Schedule []campaign.Duration `yaml:"schedule"`
	Jitter   Percent             `yaml:"jitter"`
	Quick    int                 `yaml:"quick"`
	On       []Statuses          `yaml:"on"`
	Final    []Statuses          `yaml:"final"`
}

// apart holds that two lists have no status in common.
func (d *document) apart(path string, list, other []Statuses, message string) {
	for i, a := range list {
		for _, b := range other {
			if a.Low <= b.High && b.Low <= a.High {
				d.wrong(fmt.Sprintf("%s[%d]", path, i), "", "%s", message)
			}
		}
	}
}

// Batch says how many triggers go in one request at most, and how long the first of them waits for others.
type Batch struct {
	Max    int               `yaml:"max"`
	Linger campaign.Duration `yaml:"linger"`
}

func (e *Endpoint) setDefaults() { *e = DefaultEndpoint() }

// DefaultEndpoint is what an endpoint is that gives a name and a url only.
func DefaultEndpoint() Endpoint {
	const second, minute, hour = 1000, 60_000, 3_600_000
	return Endpoint{
		Method:  "POST",
		Timeout: 15 * second,
		Retry: Retry{
			Schedule: []campaign.Duration{5 * second, 5 * minute, 30 * minute, 2 * hour, 5 * hour, 10 * hour, 14 * hour, 20 * hour, 24 * hour},
			Jitter:   0.2,
			Quick:    2,
		},
		Success:      []Statuses{{Low: 200, High: 299}},
		MaxInFlight:  32,
		Order:        "none",
		OrderTimeout: 10 * minute,
		Batch:        Batch{Max: 1},
		Breaker:      Breaker{FailureRate: 0.5, MinSamples: 20, Window: 30 * second, Open: 30 * second},
		MaxWaiting:   1_000_000,
	}
}

// methods are those that a webhook may have.
var methods = []string{"POST", "GET", "PUT", "PATCH", "DELETE"}

func (e *Endpoint) check(d *document, at string, checks Checks) {
	switch {
	case e.Name == "":
		d.missing(at + ".name")
	case !endpointName.MatchString(e.Name):
		d.wrong(at+".name", "", "`name`: expected 1 to 63 letters, digits, dots, hyphens and underscores, not %q", e.Name)
	}
	if !slices.Contains(methods, e.Method) {
		d.oneOf(at+".method", e.Method, methods...)
	}
	if e.Signing != nil && len(e.Signing.Secrets) == 0 {
		d.wrong(at+".signing.secrets", "", "`secrets`: expected at least one secret")
	} else if e.Signing != nil && !slices.ContainsFunc(e.Signing.Secrets, func(s SigningSecret) bool { return s.Until == nil }) {
		d.wrong(at+".signing.secrets", "", "`secrets`: expected one without `until`, or requests go unsigned some day")
	}
	if e.RateLimit != nil {
		e.RateLimit.check(d, at+".rate_limit")
	}
	d.duration(at+".timeout", e.Timeout, 1, 600*second)
	d.oneOf(at+".order", e.Order, "none", "user")
	d.duration(at+".order_timeout", e.OrderTimeout, 1, year)
	d.between(at+".batch.max", e.Batch.Max, 1, 1000)
	d.duration(at+".batch.linger", e.Batch.Linger, 0, 600*second)
	if e.Batch.Max > 1 && e.Order == "user" {
		d.wrong(at+".batch", "", "`batch` cannot be beside `order: user`, which sends a user's triggers one at a time: leave one of them out")
	}
	if e.Batch.Max > 1 && (e.Method == "GET" || e.Method == "DELETE") {
		d.wrong(at+".batch", "", "`batch`: a request with method %s has no body, which a batch is: leave `batch` out, or choose another method", e.Method)
	}
	if e.DisableAfter != nil {
		d.duration(at+".disable_after", *e.DisableAfter, second, year)
	}
	d.between(at+".max_in_flight", e.MaxInFlight, 1, 100_000)
	d.between(at+".max_waiting", e.MaxWaiting, 1, 1_000_000_000)
	d.between(at+".retry.quick", e.Retry.Quick, 0, 2)
	if len(e.Retry.Schedule) > 100 {
		d.wrong(at+".retry.schedule", "", "`schedule`: expected up to 100 waits, not %d", len(e.Retry.Schedule))
	}
	for i, wait := range e.Retry.Schedule {
		d.duration(fmt.Sprintf("%s.retry.schedule[%d]", at, i), wait, 1, year)
	}
	d.apart(at+".retry.on", e.Retry.On, e.Retry.Final, "a status cannot be both in `on` and in `final`")
	d.apart(at+".retry.on", e.Retry.On, e.Success, "a status of `success` is delivered, and not tried again: take it out of one of them")
	d.apart(at+".retry.final", e.Retry.Final, e.Success, "a status of `success` is delivered, and does not fail: take it out of one of them")
	if len(e.Success) == 0 {
		d.wrong(at+".success", "", "`success`: expected at least one status")
	}
	e.checkIdentity(d, at)
	e.checkHeaders(d, at)
	e.checkURL(d, at, checks)
	if checks.Endpoint != nil {
		for _, p := range checks.Endpoint(e) {
			d.relay(at, p)
		}
	}
}

// Auth says who calls an endpoint: exactly one of its fields is set.
type Auth struct {
	Basic  *BasicAuth  `yaml:"basic"`
	Bearer *BearerAuth `yaml:"bearer"`
	OAuth2 *OAuth2Auth `yaml:"oauth2"`
	JWT    *JWTAuth    `yaml:"jwt"`
}

// BasicAuth is a user's name and password (RFC 7617).
type BasicAuth struct {
	Username Text   `yaml:"username" required:"true"`
	Password Secret `yaml:"password" required:"true"`
}

// BearerAuth is a token as it is (RFC 6750).
type BearerAuth struct {
	Token Secret `yaml:"token" required:"true"`
}

// OAuth2Auth says where tokens are asked for, and how (RFC 6749).
type OAuth2Auth struct {
	Grant        string          `yaml:"grant" values:"client_credentials|password"`
	TokenURL     Text            `yaml:"token_url" required:"true"`
	ClientID     Text            `yaml:"client_id"`
	ClientSecret Secret          `yaml:"client_secret"`
	Username     Text            `yaml:"username"` // of the grant password, as Password
	Password     Secret          `yaml:"password"`
	Scopes       []string        `yaml:"scopes,oneormany"`
	Params       map[string]Text `yaml:"params"`
	ClientAuth   string          `yaml:"client_auth" values:"basic|body|jwt"`
	JWT          *JWTAuth        `yaml:"jwt"` // of the client_auth jwt
}

func (o *OAuth2Auth) setDefaults() { o.Grant, o.ClientAuth = "client_credentials", "basic" }

// JWTAuth is a token that is signed here. Claims that are empty are left out.
type JWTAuth struct {
	Alg string            `yaml:"alg" required:"true" values:"RS256|RS384|RS512|ES256|EdDSA"`
	Key PEM               `yaml:"key" required:"true"`
	KID Text              `yaml:"kid"`
	Iss Text              `yaml:"iss"`
	Sub Text              `yaml:"sub"`
	Aud Text              `yaml:"aud"`
	TTL campaign.Duration `yaml:"ttl"`
}

func (j *JWTAuth) setDefaults() { j.TTL = 300 * second }

// Proxy is what an endpoint's connections go through.
type Proxy struct {
	URL      ProxyURL `yaml:"url" required:"true"`
	Resolves bool     `yaml:"resolves"` // it is given the target's name, not its address
}

// EndpointTLS is whom an endpoint's connections trust, and what they show of themselves. Without CA the system's roots hold; Cert
// and Key come together or not at all.
type EndpointTLS struct {
	CA         PEM    `yaml:"ca"`
	Cert       PEM    `yaml:"cert"`
	Key        PEM    `yaml:"key"`
	MinVersion string `yaml:"min_version" values:"1.2|1.3"`
}

func (t *EndpointTLS) setDefaults() { t.MinVersion = "1.2" }

func (e *Endpoint) checkIdentity(d *document, at string) {
	if t := e.TLS; t != nil {
		d.oneOf(at+".tls.min_version", t.MinVersion, "1.2", "1.3")
	}
	required := func(path string, t Text) {
		if t.Reveal() == "" {
			d.missing(at + path)
		}
	}
	if e.Proxy != nil {
		required(".proxy.url", e.Proxy.URL.Text)
	}
	a := e.Auth
	if a == nil {
		return
	}
	kinds := 0
	for _, given := range []bool{a.Basic != nil, a.Bearer != nil, a.OAuth2 != nil, a.JWT != nil} {
		if given {
			kinds++
		}
	}
	switch {
	case kinds != 1:
		d.wrong(at+".auth", "", "`auth`: expected one of basic, bearer, oauth2 and jwt")
	case a.Basic != nil:
		required(".auth.basic.username", a.Basic.Username)
		required(".auth.basic.password", a.Basic.Password.Text)
	case a.Bearer != nil:
		required(".auth.bearer.token", a.Bearer.Token.Text)
	case a.JWT != nil:
		a.JWT.check(d, at+".auth.jwt")
	default:
		required(".auth.oauth2.token_url", a.OAuth2.TokenURL)
		d.oneOf(at+".auth.oauth2.grant", a.OAuth2.Grant, "client_credentials", "password")
		d.oneOf(at+".auth.oauth2.client_auth", a.OAuth2.ClientAuth, "basic", "body", "jwt")
		if a.OAuth2.JWT != nil {
			a.OAuth2.JWT.check(d, at+".auth.oauth2.jwt")
		}
	}
}

func (j *JWTAuth) check(d *document, at string) {
	if j.Alg == "" {
		d.missing(at + ".alg")
	}
	d.oneOf(at+".alg", j.Alg, "RS256", "RS384", "RS512", "ES256", "EdDSA")
	if j.Key.Reveal() == "" {
		d.missing(at + ".key")
	}
	d.duration(at+".ttl", j.TTL, 10*second, day)
}

// Breaker says when the sink lets an endpoint rest: where FailureRate of at least MinSamples attempts within Window failed, for Open.
// The zero Breaker is `none`.
type Breaker struct {
	FailureRate Percent           `yaml:"failure_rate"`
	MinSamples  int               `yaml:"min_samples"`
	Window      campaign.Duration `yaml:"window"`
	Open        campaign.Duration `yaml:"open"`
}

func (b *Breaker) decodeNode(d *document, n *node, path string) {
	if n.kind == scalar && n.text == "none" {
		*b = Breaker{}
		return
	}
	if n.kind != mapping {
		d.problem(n, path, "", "%s: expected a mapping or none, not %s", keyName(path), n.describe())
		return
	}
	d.decodeStruct(n, path, reflect.ValueOf(b).Elem())
	if b.FailureRate == 0 {
		d.wrong(path+".failure_rate", "", "`failure_rate`: expected a share above 0%%; `breaker: none` turns it off")
	}
	d.between(path+".min_samples", b.MinSamples, 1, 1_000_000)
	d.duration(path+".window", b.Window, 10, 3600*second)
	d.duration(path+".open", b.Open, 1, 24*3600*second)
}

// RateLimit bounds the attempts of the whole group. A Burst of 0 is what comes in one second, at least 1.
type RateLimit struct {
	PerSecond float64 `yaml:"per_second"`
	Burst     int     `yaml:"burst"`
}

func (r *RateLimit) check(d *document, at string) {
	if r.PerSecond < 0.001 || r.PerSecond > 1_000_000 {
		d.wrong(at+".per_second", "", "`per_second`: expected a number from 0.001 to 1000000")
	}
	d.between(at+".burst", r.Burst, 0, 1_000_000)
}
