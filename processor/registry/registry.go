// Package registry reads records that producers wrote with the schemas of a Confluent schema registry, in Avro, Protobuf or JSON: it
// fetches the schemas, and package schema reads the bytes. A record that names no schema is plain JSON. A key that names one is the user ID
// if it is a string, a number, or a record of one of them.
//
// A schema's name never changes its meaning, so each is asked for once. While the registry does not answer, nothing is decided of the records
// that need it: they wait, in their order. Only what the registry says itself, that it does not know an id, makes a dead letter.
package registry

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"go.uber.org/zap"
)

// Config says where the registry is.
type Config struct {
	URL                string // may hold user and password
	Username, Password string // sent as basic auth; in place of those in URL
	TLS                *tls.Config
	// Dial is how it is reached; nil: over TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Hidden are texts that no log line and no error shows; the password is one without being named.
	Hidden  []string
	Log     *zap.Logger
	Metrics prometheus.Registerer // nil: none
}

const (
	maxSchemas = 1000             // kept; of more, the one not used for longest is forgotten
	patience   = 5 * time.Second  // for one answer
	firstPause = time.Second      // before an id is asked for again that the registry did not answer for, or does not know,
	lastPause  = 10 * time.Second // after more failures
	unknownFor = time.Minute      // how long an id that the registry does not know is not asked for again
)

// Registry has the schemas. It is safe for concurrent use; a nil Registry takes every record for plain JSON.
type Registry struct {
	cfg     Config
	client  *sr.Client
	http    *http.Client
	shown   string // the URL without secrets
	metrics *metrics
	ctx     context.Context
	stop    context.CancelFunc
	fetches sync.WaitGroup

	mu      sync.Mutex
	entries map[ref]*entry
	uses    uint64 // counts looks, for what was used last
}

// New checks cfg. It asks the registry nothing.
func New(cfg Config) (*Registry, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("registry: expected a URL as in https://registry.example.com:8081")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = cfg.TLS
	if cfg.Dial != nil {
		transport.DialContext = cfg.Dial
	}
	client := &http.Client{Transport: transport, Timeout: patience}
	options := []sr.ClientOpt{sr.UserAgent("tripline"), sr.HTTPClient(client)}
	user, password := cfg.Username, cfg.Password
	if u.User != nil && user == "" {
		user = u.User.Username()
		password, _ = u.User.Password()
	}
	if user != "" || password != "" {
		options = append(options, sr.BasicAuth(user, password))
		cfg.Hidden = append(slices.Clone(cfg.Hidden), password, url.QueryEscape(password), url.PathEscape(password),
			base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
	}
	u.User = nil
	asks, err := sr.NewClient(append(options, sr.URLs(u.String()))...)
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	r := &Registry{cfg: cfg, client: asks, http: client, entries: map[ref]*entry{}, metrics: newMetrics(cfg.Metrics)}
	r.shown = r.hide(u.Redacted())
	r.ctx, r.stop = context.WithCancel(context.Background())
	return r, nil
}

// Close ends what is being fetched, and returns when that has ended. What waits for it waits on.
func (r *Registry) Close() {
	if r != nil {
		r.stop()
		r.fetches.Wait()
		r.http.CloseIdleConnections()
	}
}

// Check asks the registry for a subject, whichever it is.
func (r *Registry) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if _, err := r.client.Subjects(sr.WithParams(ctx, sr.Limit(1))); err != nil {
		return fmt.Errorf("the schema registry at %s: %s", r.shown, r.explain(err))
	}
	return nil
}

// explain is an error of the registry for a human, without secrets, on one line.
func (r *Registry) explain(err error) string {
	var answer *sr.ResponseError
	text := err.Error()
	if errors.As(err, &answer) {
		text = fmt.Sprintf("it answers %d: %s", answer.StatusCode, text)
		switch {
		case answer.StatusCode == 401 || answer.StatusCode == 403:
			text += "; give user and password in registry, as in https://${USER}:${PASSWORD}@host"
		case answer.StatusCode == 404 && !unknown(err):
			text += "; is the path in registry right?"
		}
	}
	text = strings.Join(strings.Fields(r.hide(text)), " ")
	return strings.ToValidUTF8(text[:min(len(text), 300)], "")
}

// hide puts *** in the place of secrets.
func (r *Registry) hide(text string) string {
	for _, secret := range r.cfg.Hidden {
		if secret != "" && secret != r.cfg.URL { // of a URL that is secret as a whole, what is secret in it is hidden
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	return text
}

// unknown says whether the registry itself answers that a schema, a subject or a version is not there. Another 404 is of somebody else.
func unknown(err error) bool {
	var answer *sr.ResponseError
	return errors.As(err, &answer) && answer.StatusCode == 404 && answer.ErrorCode >= 40401 && answer.ErrorCode <= 40403
}

// ref names a schema: by the number that one registry gave it, or by what it has in all of them.
type ref struct {
	id   uint32
	guid [16]byte // not all zero: in place of id
}

func (f ref) String() string {
	if g := f.guid; g != [16]byte{} {
		return fmt.Sprintf("%x-%x-%x-%x-%x", g[:4], g[4:6], g[6:8], g[8:10], g[10:])
	}
	return strconv.FormatUint(uint64(f.id), 10)
}

// The headers that name the schemas of a record's key and value, where they do not stand before these.
const (
	keyHeader   = "__key_schema_id"
	valueHeader = "__value_schema_id"
)

// split takes apart what was written with a schema: which one, and the bytes in its format. The schema stands in the header of a name, else
// before the bytes.
// https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format
func split(content []byte, headers []kgo.RecordHeader, name string) (f ref, data []byte, ok bool) {
	for i := len(headers) - 1; i >= 0; i-- {
		if headers[i].Key != name || headers[i].Value == nil {
			continue
		}
		f, rest, ok := cut(headers[i].Value)
		if ok && len(rest) > 0 { // which message of a Protobuf schema it is
			content = slices.Concat(rest, content)
		}
		return f, content, ok
	}
	return cut(content)
}

// cut takes a schema's name off: a zero and the id, or a one and the GUID.
func cut(b []byte) (f ref, rest []byte, ok bool) {
	switch {
	case len(b) >= 5 && b[0] == 0:
		return ref{id: binary.BigEndian.Uint32(b[1:])}, b[5:], true
	case len(b) >= 17 && b[0] == 1:
		return ref{guid: [16]byte(b[1:])}, b[17:], true
	}
	return ref{}, nil, false
}
