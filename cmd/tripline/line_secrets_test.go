package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"html"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tripline/tripline/sink"
)

// echo is a receiver that repeats all that it is told, in every way that a status line, a header and a body allow. It is a token
// endpoint under /token, and a proxy for what is asked for in the absolute form.
type echo struct {
	mu     sync.Mutex
	tokens []string
	got    map[string][]string // path -> what was told there
}

func (e *echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var told bytes.Buffer
	fmt.Fprintf(&told, "%s\n", r.RequestURI)
	for _, name := range slices.Sorted(slices.Values([]string{"Authorization", "Proxy-Authorization", "X-Api-Key", "X-Env", "Cookie"})) {
		fmt.Fprintf(&told, "%s: %s\n", name, r.Header.Get(name))
	}
	user, password, _ := r.BasicAuth()
	fmt.Fprintf(&told, "%s %s\n", user, password)
	body, _ := io.ReadAll(r.Body) // what is missing is not repeated
	told.Write(body)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.got[r.URL.Path] = append(e.got[r.URL.Path], told.String())
	switch {
	case r.URL.Path == "/token":
		e.tokens = append(e.tokens, fmt.Sprintf("t0ken/%d+%s", len(e.tokens), base64.StdEncoding.EncodeToString([]byte(r.RemoteAddr))))
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]any{"access_token": e.tokens[len(e.tokens)-1], "expires_in": 3600})
		return
	case r.URL.Path == "/no-token":
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(400)
		json.NewEncoder(w).Encode(map[string]any{"error": told.String(), "error_description": r.Form})
		return
	}
	all := manners[len(e.got[r.URL.Path])%len(manners)](told.String()) // only the first KiB is recorded
	line := strings.ReplaceAll(strings.TrimSpace(told.String()), "\n", " ")
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	if strings.HasSuffix(r.URL.Path, "/more") { // than it says: net/http logs what comes unasked
		fmt.Fprintf(conn, "HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno%s", all)
		return
	}
	if strings.HasSuffix(r.URL.Path, "/broken") {
		fmt.Fprintf(conn, []string{"HTTP/1.1 5%s\r\n\r\n", "HTTP/1.1 200 OK\r\n%s\r\n\r\n"}[len(all)%2], strings.ReplaceAll(line, ":", ""))
		return
	}
	fmt.Fprintf(conn, "HTTP/1.1 500 %s\r\nLocation: /%s\r\nX-Echo: %s\r\nRetry-After: %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s",
		line, line, line, line, len(all), all)
}

// manners are how a text may be repeated.
var manners = []func(string) string{
	func(text string) string { return text },
	func(text string) string { quoted, _ := json.Marshal(text); return string(quoted) },
	func(text string) string {
		quoted, _ := json.Marshal(text)
		return strings.ReplaceAll(string(quoted), "/", `\/`)
	},
	func(text string) string { return strings.ReplaceAll(text, "/", `\/`) },
	url.QueryEscape,
	url.PathEscape,
	html.EscapeString,
	strconv.QuoteToASCII,
}

// secretForms are the ways in which a secret might show, in a text or in a text within JSON.
func secretForms(secret string) (forms []string) {
	json := func(text string) string {
		quoted, _ := json.Marshal(text)
		return string(quoted[1 : len(quoted)-1])
	}
	for _, form := range []string{secret, json(secret), strings.ReplaceAll(secret, "/", `\/`), strings.ReplaceAll(json(secret), "/", `\/`), url.QueryEscape(secret),
		url.PathEscape(secret), html.EscapeString(secret), strings.Trim(strconv.QuoteToASCII(secret), `"`),
		strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(secret)), "="), strings.TrimRight(base64.URLEncoding.EncodeToString([]byte(secret)), "=")} {
		escaped := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(json(form)) // as the records escape
		forms = append(forms, form, json(form), escaped)
	}
	return forms
}

// TestLineSecretsStayHidden puts secrets wherever an endpoint can have them, against a receiver that repeats all it is told, and looks
// for them in all that comes out: logs, records, metrics, pages, and what the commands print.
func TestLineSecretsStayHidden(t *testing.T) {
	log.SetOutput(libraryLog{io.Discard}) // as main does; for the commands that this test runs by itself
	defer log.SetOutput(os.Stderr)
	e := &echo{got: map[string][]string{}}
	server := httptest.NewServer(e)
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	signing := "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("?>~", 10)))
	secrets := map[string]string{"BASIC": `b4sic"p/ss<&ö+=`, "BEARER": "b34rer/t0ken+==", "CLIENT": "cl1ent/s3cret&+", "USERPASS": `us3r"p/ss&`, "PROXY": "pr0xy/p4ss+",
		"SOCKS": "s0cks-p4ss", "PATH_KEY": "p4th-k3y", "QUERY": "qu3ry/k3y", "HEADER": "h34der/k3y+", "PLAIN": "3nv/v4lue", "SIGNING": signing}
	for name, secret := range secrets {
		t.Setenv("S_"+name, secret)
	}
	l := newLine(t, 2, "")
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	l.write("key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	l.write("client", secrets["CLIENT"]+"\n")
	l.write("bearer", secrets["BEARER"]+"\n")
	l.write("proxy", "http://us%65r:"+url.PathEscape(secrets["PROXY"])+"@"+host+"\n")
	port := unusedPort(t)
	auths := []string{
		`auth: {basic: {username: u, password: '${S_BASIC}'}}`,
		`auth: {bearer: {token: 'file:bearer'}}`,
		`auth: {oauth2: {token_url: 'TARGET/token', client_id: c, client_secret: 'file:client'}}`,
		`auth: {oauth2: {token_url: 'TARGET/no-token', client_id: c, client_secret: 'file:client', client_auth: body}}`,
		`auth: {oauth2: {grant: password, token_url: 'TARGET/no-token?k=${S_QUERY}', client_id: c, client_secret: '${S_CLIENT}', username: u, password: '${S_USERPASS}'}}`,
		`auth: {oauth2: {token_url: 'TARGET/no-token', client_id: c, client_auth: jwt, jwt: {alg: EdDSA, key: key.pem}}}`,
		`auth: {jwt: {alg: EdDSA, key: key.pem, iss: tripline}}`,
		`proxy: {url: 'file:proxy'}`,
		fmt.Sprintf(`proxy: {url: 'socks5://u:${S_SOCKS}@127.0.0.1:%d'}`, unusedPort(t)),
		`headers: {Authorization: '${S_HEADER}', X-Api-Key: in-th3-file, Cookie: 'a=${S_HEADER}', X-Env: '{{ User.id }} ${S_PLAIN}'}, signing: {secrets: ['${S_SIGNING}']}`,
	}
	secrets["in file"] = "in-th3-file"
	endpoints, campaigns := "endpoints:\n", ""
	var names []string
	for i, auth := range auths {
		for j, path := range []string{"", "/broken", "/more"} {
			name := fmt.Sprintf("e%d-%d", i, j)
			names = append(names, name)
			endpoints += fmt.Sprintf("  - {name: %s, url: 'TARGET/${S_PATH_KEY}/%d%s?k=${S_QUERY}', allow_private: true, retry: {schedule: [1ms, 1ms, 1ms, 1ms, 1ms, 1ms], quick: 0}, breaker: none, %s}\n", name, i, path, auth)
			campaigns += fmt.Sprintf("---\nname: to-%s\ntrigger: {single_action: {event: Paid}}\ndeliver: {endpoint: %s}\n", name, name)
		}
	}
	l.config = l.config[:strings.Index(l.config, "endpoints:")] + "log: {level: debug}\n" + strings.ReplaceAll(endpoints, "TARGET", server.URL)
	l.config = strings.Replace(l.config, `"127.0.0.1:0"`, fmt.Sprintf(`"127.0.0.1:%d"`, port), 1)
	l.write("campaigns.yaml", campaigns)
	s := l.start("sink", "s")
	l.config = strings.Replace(l.config, fmt.Sprintf(`"127.0.0.1:%d"`, port), `"127.0.0.1:0"`, 1)
	p := l.start("processor", "p")
	l.event("ann", "Paid", `{}`)
	var finals map[string][]string
	for began := time.Now(); time.Since(began) < 60*time.Second && len(finals) < len(names); time.Sleep(100 * time.Millisecond) {
		finals, _ = l.finals()
	}
	if len(finals) != len(names) {
		t.Fatalf("%d of %d deliveries have ended", len(finals), len(names))
	}
	out := l.outputs(port, names)
	s.stop()
	p.stop()
	out["sink"], out["processor"] = s.output.String(), p.output.String()

	e.mu.Lock()
	defer e.mu.Unlock()
	told := fmt.Sprint(e.got)
	for i, token := range e.tokens {
		secrets[fmt.Sprint("token ", i)] = token
	}
	for _, text := range strings.Fields(told) { // signed tokens begin with {" in base64
		if strings.HasPrefix(text, "eyJ") {
			secrets["jwt "+text] = text
		}
	}
	secrets["basic pair"] = base64.StdEncoding.EncodeToString([]byte("u:" + secrets["BASIC"]))
	secrets["client pair"] = base64.StdEncoding.EncodeToString([]byte("c:" + url.QueryEscape(secrets["CLIENT"])))
	secrets["proxy pair"] = base64.StdEncoding.EncodeToString([]byte("user:" + secrets["PROXY"]))
	if len(e.tokens) == 0 || len(secrets) < 17 {
		t.Errorf("the receiver was told of %d tokens, there are %d secrets", len(e.tokens), len(secrets))
	}
	for name, secret := range secrets {
		if name != "SIGNING" && name != "SOCKS" && name != "PROXY" && !slices.ContainsFunc(secretForms(secret), func(form string) bool { return strings.Contains(told, form) }) {
			t.Errorf("the receiver was not told %s", name)
		}
		for _, form := range secretForms(secret) {
			for from, text := range out {
				if at := strings.Index(text, form); at >= 0 {
					t.Errorf("%s (%q) is in %s: %s", name, form, from, text[max(0, at-200):min(len(text), at+100)])
				}
			}
		}
	}
	if !strings.Contains(out["deliveries"], "***") || !strings.Contains(out["test e0-0"], "***") || !strings.Contains(out["sink"], "***") ||
		!strings.Contains(out["sink"], "Unsolicited response received on idle HTTP channel\n") {
		t.Error("nothing was hidden")
	}
}

// outputs are all that comes out of a line but its logs.
func (l *line) outputs(port int, endpoints []string) map[string]string {
	l.t.Helper()
	out := map[string]string{}
	for _, topic := range []string{l.cfg.Topics.Deliveries, l.cfg.Topics.DeadLetters, l.cfg.Topics.Triggers, l.cfg.Topics.Decisions, l.group + "-sink-changelog",
		sink.ControlTopic(l.group)} {
		for _, r := range l.read(topic) {
			text := string(r.Key) + " " + string(r.Value)
			for _, h := range r.Headers {
				text += " " + h.Key + " " + string(h.Value)
			}
			out[strings.TrimPrefix(topic, l.group+"-")] += text + "\n"
		}
	}
	for _, path := range []string{"/metrics", "/readyz", "/healthz"} {
		answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d%s", port, path))
		if err != nil {
			l.t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if out[path] = string(text); err != nil || len(text) == 0 {
			l.t.Errorf("%s: %v", path, err)
		}
	}
	file := filepath.Join(l.dir, "tripline-s.yaml")
	note := func(name string, args ...string) {
		text, err := run(l.t, append(args, "--config", file)...)
		out[name] = text + fmt.Sprint(err)
	}
	for _, name := range endpoints {
		note("test "+name, "endpoint", "test", name)
		note("test as JSON "+name, "endpoint", "test", name, "--output", "json")
	}
	note("status", "endpoint", "status")
	note("check", "check")
	text, err := os.ReadFile(file)
	if err != nil {
		l.t.Fatal(err)
	}
	bad := strings.NewReplacer("quick: 0", "quick: 7", "client_id: c", "client: c", "alg: EdDSA", "alg: ES256", "socks5:", "socks:", "url: 'TARGET", "url: '{{").Replace(string(text))
	l.write("tripline-s.yaml", bad)
	note("check of what is wrong", "check", "--output", "json")
	l.write("tripline-s.yaml", bad+"  }}\n")
	note("check of what cannot be read", "check", "--output", "json")
	return out
}

// TestProblemsShowNothingFromOutside holds that what the environment and files give is in no problem, wherever it stands, the right place
// or not, even where a part of it is taken for a template.
func TestProblemsShowNothingFromOutside(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("S_KEY", `{{ s3cret_name | s3cret_filter: 12 }} "s3cret" %}`)
	t.Setenv("S_URL", "https://u:s3cret@127.1/s3cret")
	for name, text := range map[string]string{
		"secret": "{% if s3cret_name | s3cret_filter %} {{ s3cret_name }}\n",
		"tripline.yaml": `
campaigns: ['${S_KEY}']
endpoints:
  - {name: a, url: 'https://x.y/${S_KEY}', headers: {X-Key: '${S_KEY}', X-File: 'file:secret'}, query: {a: '${S_KEY}'}, signing: {secrets: ['${S_KEY}', file:secret]}}
  - {name: b, url: '${S_URL}', method: '${S_KEY}', timeout: '${S_KEY}'}
  - {name: c, url: 'https://x.y', auth: {basic: {username: '${S_KEY}', password: x}}, tls: {ca: '${S_KEY}', min_version: '${S_KEY}'}, proxy: {url: '${S_KEY}'}}
  - {name: d, url: 'https://x.y', auth: {oauth2: {token_url: '${S_URL}', client_id: '${S_KEY}', client_secret: '${S_KEY}', grant: '${S_KEY}', params: {scope: '${S_KEY}'}}}}
  - {name: e, url: 'https://x.y', auth: {jwt: {alg: '${S_KEY}', key: '${S_KEY}'}}, proxy: {url: '${S_URL}'}}
  - {name: '${S_KEY}', url: 'https://x.y', retry: {on: ['${S_KEY}']}, success: ['${S_KEY}'], breaker: '${S_KEY}'}
kafka: {brokers: ['${S_KEY}'], sasl: {mechanism: '${S_KEY}', username: u, password: '${S_KEY}'}}
group: '${S_KEY}'
format: '${S_KEY}'
timezone: '${S_KEY}'
memory: '${S_KEY}'
topics: {events: ['${S_KEY}']}
log: {level: '${S_KEY}'}
http: {listen: '${S_KEY}'}
lanes: '${S_KEY}'
registry: '${S_KEY}'
`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err := loadCampaigns(filepath.Join(dir, "tripline.yaml"))
	if err == nil || strings.Count(err.Error(), "tripline.yaml:") < 30 {
		t.Fatal(err)
	}
	if text := err.Error(); strings.Contains(text, "s3cret") {
		for line := range strings.Lines(text) {
			if strings.Contains(line, "s3cret") {
				t.Error(line)
			}
		}
	}
}
