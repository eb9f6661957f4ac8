package call

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tripline/tripline/sink/auth"
	"github.com/tripline/tripline/sink/policy"
)

// issued is a certificate that signs itself, and its key.
func issued(t *testing.T) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	parsed, _ := x509.ParseCertificate(der)
	pool.AddCert(parsed)
	return block("CERTIFICATE", der), block("PRIVATE KEY", pkcs8), pool
}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// TestTrust holds that ca replaces what is trusted, that a server that wants a certificate gets it, and that min_version holds.
func TestTrust(t *testing.T) {
	cert, key, pool := issued(t)
	for _, c := range []struct {
		name     string
		tls      TLS // without its CA
		server   *tls.Config
		distrust bool
		reason   string
	}{
		{name: "ca"},
		{name: "no ca", distrust: true, reason: policy.TLS},
		{name: "client certificate", tls: TLS{Cert: cert, Key: key}, server: &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}},
		{name: "no client certificate", server: &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}, reason: policy.TLS},
		{name: "no client certificate, 1.2", server: &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, MaxVersion: tls.VersionTLS12}, reason: policy.TLS},
		{name: "old server", server: &tls.Config{MaxVersion: tls.VersionTLS12}},
		{name: "too old a server", tls: TLS{MinVersion: "1.3"}, server: &tls.Config{MaxVersion: tls.VersionTLS12}, reason: policy.TLS},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			server.TLS = c.server
			server.Config.ErrorLog = quiet()
			server.StartTLS()
			defer server.Close()
			if !c.distrust {
				c.tls.CA = block("CERTIFICATE", server.Certificate().Raw)
			}
			if _, problems := c.tls.Config(); problems != nil {
				t.Fatal(problems)
			}
			a := one(t, Config{AllowPrivate: true, TLS: c.tls}, server.URL)
			if a.Reason != c.reason || (a.Status == 200) != (c.reason == "") {
				t.Errorf("%+v, want %q", a, c.reason)
			}
		})
	}
}

func TestTrustProblems(t *testing.T) {
	cert, key, _ := issued(t)
	_, other, _ := issued(t)
	for _, c := range []struct {
		tls  TLS
		want string
	}{
		{TLS{CA: "x"}, "ca"}, {TLS{Cert: cert}, "cert"}, {TLS{Key: key}, "key"}, {TLS{Cert: cert, Key: other}, "cert"},
		{TLS{Cert: "x", Key: key}, "cert"}, {TLS{CA: key, MinVersion: "1.1"}, "ca min_version"},
	} {
		cfg, problems := c.tls.Config()
		var paths []string
		for _, p := range problems {
			paths = append(paths, p.Path)
		}
		if got := strings.Join(paths, " "); got != c.want || cfg != nil {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}

// TestCaller holds that every attempt says who calls, and that an answer that repeats it does not give it away.
func TestCaller(t *testing.T) {
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Header.Get("Authorization"))
		w.WriteHeader(503)
		w.Write([]byte(r.Header.Get("Authorization")))
	}))
	defer server.Close()
	a, problems := auth.New(auth.Config{Basic: &auth.Basic{Username: "u", Password: "s3cret"}})
	if problems != nil {
		t.Fatal(problems)
	}
	answers := try(t, Config{AllowPrivate: true, Auth: a, Secrets: NewSecrets(a.Secrets())}, server.URL, func(n int, _ Answer) (time.Duration, bool) { return 0, n == 1 })
	if len(got) != 2 || got[0] != "Basic dTpzM2NyZXQ=" || got[1] != got[0] || answers[0].Response != "Basic ***" {
		t.Errorf("%q %+v", got, answers)
	}
}
