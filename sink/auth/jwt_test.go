package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// large is an RSA key: one is enough, as it takes long to find.
var large = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// newKey makes a key for an algorithm; of RSA, with so many bits.
func newKey(t *testing.T, alg string, bits int) crypto.Signer {
	t.Helper()
	var key crypto.Signer
	var err error
	switch alg[:2] {
	case "RS":
		if bits == 2048 {
			key, err = large()
			break
		}
		key, err = rsa.GenerateKey(rand.Reader, bits)
	case "ES":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func block(kind string, bytes []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}))
}

func pkcs8(t *testing.T, key crypto.Signer) string {
	t.Helper()
	bytes, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return block("PRIVATE KEY", bytes)
}

func pemOf(t *testing.T, alg string) string { return pkcs8(t, newKey(t, alg, 2048)) }

// TestJWT holds that tokens of each algorithm verify, and have the claims that were asked for and no other.
func TestJWT(t *testing.T) {
	for _, alg := range Algorithms {
		key := newKey(t, alg, 2048)
		a, problems := New(Config{JWT: &JWT{Alg: alg, Key: pkcs8(t, key), KeyID: "k1", Issuer: "tripline", Audience: "ops", TTL: 90_000}})
		if problems != nil {
			t.Fatal(problems)
		}
		text, ok := strings.CutPrefix(header(t, a), "Bearer ")
		claims := jwt.MapClaims{}
		token, err := jwt.NewParser(jwt.WithValidMethods([]string{alg}), jwt.WithIssuer("tripline"), jwt.WithAudience("ops"), jwt.WithExpirationRequired()).
			ParseWithClaims(text, claims, func(*jwt.Token) (any, error) { return key.Public(), nil })
		if !ok || err != nil || token.Header["kid"] != "k1" {
			t.Errorf("%s: %v %v", alg, token, err)
			continue
		}
		if len(claims) != 4 || claims["exp"].(float64)-claims["iat"].(float64) != 90 {
			t.Errorf("%s: claims %v", alg, claims)
		}
	}
}

// TestOlderKeys holds that the forms that openssl wrote before PKCS #8 are read, and that what stands beside a key does no harm.
func TestOlderKeys(t *testing.T) {
	ec := newKey(t, "ES256", 0).(*ecdsa.PrivateKey)
	bytes, err := x509.MarshalECPrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	for alg, text := range map[string]string{
		"ES256": block("EC PARAMETERS", []byte{6, 8}) + block("EC PRIVATE KEY", bytes),
		"RS256": block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(newKey(t, "RS256", 2048).(*rsa.PrivateKey))),
	} {
		if a, problems := New(Config{JWT: &JWT{Alg: alg, Key: text}}); problems != nil || header(t, a) == "" {
			t.Errorf("%s: %v", alg, problems)
		}
	}
}

// TestJWTProblems holds that what cannot sign is found when it is read, and that no problem shows a key.
func TestJWTProblems(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		jwt  JWT
		want string
	}{
		{JWT{}, "jwt.key is required; jwt.alg expected one of RS256"},
		{JWT{Alg: "HS256", Key: pemOf(t, "ES256")}, "jwt.alg expected one of RS256"},
		{JWT{Alg: "none", Key: pemOf(t, "ES256")}, "jwt.alg expected one of RS256"},
		{JWT{Alg: "ES256", Key: pemOf(t, "EdDSA")}, "jwt.key is no key for ES256: expected one on the curve P-256"},
		{JWT{Alg: "ES256", Key: pkcs8(t, p384)}, "jwt.key is no key for ES256: expected one on the curve P-256"},
		{JWT{Alg: "RS512", Key: pemOf(t, "ES256")}, "jwt.key is no key for RS512: expected an RSA key"},
		{JWT{Alg: "EdDSA", Key: pemOf(t, "ES256")}, "jwt.key is no key for EdDSA: expected one of Ed25519"},
		{JWT{Alg: "RS256", Key: pkcs8(t, newKey(t, "RS256", 1024))}, "jwt.key has 1024 bits: expected 2048 or more"},
		{JWT{Alg: "RS256", Key: "s3cret"}, "jwt.key holds no private key in PEM"},
		{JWT{Alg: "RS256", Key: block("PRIVATE KEY", []byte("s3cret"))}, "jwt.key holds a private key that cannot be read"},
		{JWT{Alg: "RS256", Key: block("ENCRYPTED PRIVATE KEY", []byte("s3cret"))}, "jwt.key is encrypted"},
		{JWT{Alg: "ES256", Key: pemOf(t, "ES256"), TTL: 1000}, "jwt.ttl expected at least 10s"},
	} {
		a, problems := New(Config{JWT: &c.jwt})
		var texts []string
		for _, p := range problems {
			texts = append(texts, p.Path+" "+p.Message)
		}
		if got := strings.Join(texts, "; "); a != nil || !strings.HasPrefix(got, c.want) || strings.Contains(got, "s3cret") {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}

// TestAssertionsDiffer holds that no client's assertion is used twice (OpenID Connect Core, 9).
func TestAssertionsDiffer(t *testing.T) {
	r := &reader{}
	s := r.signer("jwt", JWT{Alg: "EdDSA", Key: pemOf(t, "EdDSA")})
	s.once = true
	now := time.Now()
	one, _, err1 := s.token(now)
	two, _, err2 := s.token(now)
	if one == two || err1 != nil || err2 != nil {
		t.Error(one, two, err1, err2)
	}
}
