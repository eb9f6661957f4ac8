package request

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// The header names of Standard Webhooks, and of a trigger that is sent once more.
const (
	headerID        = "webhook-id"
	headerTimestamp = "webhook-timestamp"
	headerSignature = "webhook-signature"
	headerReplay    = "webhook-replay"
)

// Secret is one by which requests are signed.
type Secret struct {
	Value string
	Until int64 // ms since the epoch: from then on it signs nothing; 0: it has no end
}

// key signs what is sent before its end.
type key struct {
	mac     []byte             // v1: HMAC-SHA256; nil:
	private ed25519.PrivateKey // v1a: Ed25519 (RFC 8032)
	until   int64              // ms since the epoch; 0: none
}

const wantedSecret = "expected whsec_ and the base64 of 24 to 64 bytes, or whsk_ and the base64 of an ed25519 key"

// parseSecret reads a secret of Standard Webhooks: whsec_ and the base64 of 24 to 64 bytes, or whsk_ and the base64 of an ed25519
// seed (32 bytes) or private key (64: seed and public key). Its error does not show it.
func parseSecret(s Secret) (k key, err error) {
	k.until = s.Until
	prefix, encoded, ok := strings.Cut(s.Value, "_")
	if !ok || prefix != "whsec" && prefix != "whsk" {
		return k, errors.New(wantedSecret)
	}
	b, err := base64.StdEncoding.DecodeString(encoded)
	switch {
	case err != nil:
		return k, fmt.Errorf("what follows %s_ is not base64", prefix)
	case prefix == "whsec":
		if len(b) < 24 || len(b) > 64 {
			return k, fmt.Errorf("a secret has 24 to 64 bytes, not %d", len(b))
		}
		k.mac = b
	case len(b) == ed25519.SeedSize:
		k.private = ed25519.NewKeyFromSeed(b)
	case len(b) != ed25519.PrivateKeySize:
		return k, fmt.Errorf("an ed25519 key has 32 bytes (its seed) or 64, not %d", len(b))
	default:
		if k.private = ed25519.NewKeyFromSeed(b[:ed25519.SeedSize]); !k.private.Equal(ed25519.PrivateKey(b)) {
			return k, errors.New("the last 32 bytes are not the public key of the first 32")
		}
	}
	return k, nil
}

// signature is the one over a text, with the name of its form.
func (k key) signature(text []byte) string {
	if k.private != nil {
		return "v1a," + base64.StdEncoding.EncodeToString(ed25519.Sign(k.private, text))
	}
	mac := hmac.New(sha256.New, k.mac)
	mac.Write(text)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// sign sets what an attempt at a moment (ms since the epoch) has for itself: the timestamp, and a signature over id, timestamp
// and body per key that holds then (Standard Webhooks).
func sign(header http.Header, keys []key, id string, now int64, body []byte) {
	timestamp := strconv.FormatInt(now/1000, 10)
	header.Set(headerTimestamp, timestamp)
	if len(keys) == 0 {
		return
	}
	text := make([]byte, 0, len(id)+len(timestamp)+2+len(body))
	text = append(append(append(append(append(text, id...), '.'), timestamp...), '.'), body...)
	var signatures []string
	for _, k := range keys {
		if k.until == 0 || now < k.until {
			signatures = append(signatures, k.signature(text))
		}
	}
	if signatures != nil {
		header.Set(headerSignature, strings.Join(signatures, " "))
	}
}
