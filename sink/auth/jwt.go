package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// JWT is a token that is signed here (RFC 7519): an endpoint's bearer token, or how a client says to a token endpoint who it is
// (RFC 7523). Of the claims, those that are empty are left out.
type JWT struct {
	Alg                       string // RS256 RS384 RS512 ES256 EdDSA
	Key                       string // PEM, private
	KeyID                     string
	Issuer, Subject, Audience string
	TTL                       int64 // ms; 5 min
}

// Algorithms are those that tokens can be signed by.
var Algorithms = []string{"RS256", "RS384", "RS512", "ES256", "EdDSA"}

const (
	defaultTTL = 5 * time.Minute
	minTTL     = 10 * time.Second
	minRSA     = 2048 // bits (RFC 7518, 3.3)
)

// signer makes tokens.
type signer struct {
	method jwt.SigningMethod
	key    crypto.Signer
	keyID  string
	claims jwt.MapClaims // but for times
	ttl    time.Duration
	once   bool // each token has an id of its own
}

// token signs one as of a moment.
func (s *signer) token(now time.Time) (text string, expires time.Time, err error) {
	expires = time.Unix(now.Add(s.ttl).Unix(), 0)
	claims := jwt.MapClaims{"iat": now.Unix(), "exp": expires.Unix()}
	for name, value := range s.claims {
		claims[name] = value
	}
	if s.once {
		claims["jti"] = rand.Text()
	}
	t := jwt.NewWithClaims(s.method, claims)
	if s.keyID != "" {
		t.Header["kid"] = s.keyID
	}
	text, err = t.SignedString(s.key)
	return text, expires, err
}

func (r *reader) jwt(j JWT) {
	s := r.signer("jwt", j)
	r.a.fetch = func(_ context.Context, _ *http.Client, learn func(string)) (token, error) {
		text, expires, err := s.token(time.Now())
		if err != nil {
			return token{}, fmt.Errorf("sign it: %w", err)
		}
		learn(text)
		return token{"Bearer " + text, expires}, nil
	}
}

// signer reads a JWT that stands at a path.
func (r *reader) signer(path string, j JWT) *signer {
	s := &signer{keyID: j.KeyID, claims: jwt.MapClaims{}, ttl: time.Duration(j.TTL) * time.Millisecond}
	r.public("jwt", j.Alg, j.KeyID, j.Issuer, j.Subject, j.Audience)
	for name, value := range map[string]string{"iss": j.Issuer, "sub": j.Subject, "aud": j.Audience} {
		if value != "" {
			s.claims[name] = value
		}
	}
	if s.ttl == 0 {
		s.ttl = defaultTTL
	}
	r.wrong(s.ttl < minTTL, path+".ttl", "expected at least 10s")
	r.given(path+".key", j.Key)
	known := false
	for _, alg := range Algorithms {
		known = known || alg == j.Alg
	}
	if r.wrong(!known, path+".alg", "expected one of "+strings.Join(Algorithms, ", ")); !known || j.Key == "" {
		return s
	}
	s.method = jwt.GetSigningMethod(j.Alg)
	key, err := privateKey(j.Key)
	if err == nil {
		err = fits(j.Alg, key)
	}
	if s.key = key; err != nil {
		r.wrong(true, path+".key", err.Error())
	}
	return s
}

// privateKey reads the one key of a PEM text: PKCS #8, or the older forms of RSA and EC keys. Its error shows nothing of it.
func privateKey(text string) (crypto.Signer, error) {
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, errors.New("holds no private key in PEM: expected a block such as -----BEGIN PRIVATE KEY-----")
		}
		var key any
		var err error
		switch block.Type {
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case "ENCRYPTED PRIVATE KEY":
			return nil, errors.New("is encrypted: take the passphrase off, and let only this process read it")
		default:
			continue // the parameters of a curve, a certificate
		}
		signer, ok := key.(crypto.Signer)
		switch {
		case block.Headers["DEK-Info"] != "":
			return nil, errors.New("is encrypted: take the passphrase off, and let only this process read it")
		case err != nil || !ok:
			return nil, errors.New("holds a private key that cannot be read")
		}
		return signer, nil
	}
}

// fits says which key an algorithm needs, if it is not this one.
func fits(alg string, key crypto.Signer) error {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if strings.HasPrefix(alg, "RS") {
			if bits := k.N.BitLen(); bits < minRSA {
				return fmt.Errorf("has %d bits: expected %d or more", bits, minRSA)
			}
			return nil
		}
	case *ecdsa.PrivateKey:
		if alg == "ES256" && k.Curve == elliptic.P256() {
			return nil
		}
	case ed25519.PrivateKey:
		if alg == "EdDSA" {
			return nil
		}
	}
	wanted := "an RSA key"
	if alg == "ES256" {
		wanted = "one on the curve P-256"
	} else if alg == "EdDSA" {
		wanted = "one of Ed25519"
	}
	return fmt.Errorf("is no key for %s: expected %s", alg, wanted)
}
