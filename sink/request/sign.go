package request

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// The header names of Standard Webhooks, and of a trigger that is sent once more.
const (
	headerID        = "Webhook-Id"
	headerTimestamp = "Webhook-Timestamp"
	headerSignature = "Webhook-Signature"
	headerReplay    = "Webhook-Replay"
)

// Secret is one by which requests are signed.
type Secret struct {
	Value string
	Until int64 // ms since the epoch: from then on it signs nothing; 0: it has no end
}

// key signs what is sent before its end.
type key struct {
	mac     *sync.Pool         // v1: of *mac; nil:
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
		k.mac = &sync.Pool{New: func() any { return &mac{Hash: hmac.New(sha256.New, b)} }}
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

// mac makes signatures of the form v1, one after another.
type mac struct {
	hash.Hash
	sum  [sha256.Size]byte
	text []byte
}

// signature is the one over id, timestamp and body (Standard Webhooks), with the name of its form.
func (k *key) signature(head, body []byte) string {
	if k.private != nil {
		return "v1a," + base64.StdEncoding.EncodeToString(ed25519.Sign(k.private, slices.Concat(head, body)))
	}
	m := k.mac.Get().(*mac)
	defer k.mac.Put(m)
	m.Reset()
	m.Write(head)
	m.Write(body)
	m.text = base64.StdEncoding.AppendEncode(append(m.text[:0], "v1,"...), m.Sum(m.sum[:0]))
	return string(m.text)
}

// sign sets what an attempt at a moment (ms since the epoch) has for itself: the timestamp, and a signature per key that holds then.
func sign(header http.Header, keys []key, id string, now int64, body []byte) {
	timestamp := strconv.FormatInt(now/1000, 10)
	header.Set(headerTimestamp, timestamp)
	var room [256]byte
	head := append(append(append(append(room[:0], id...), '.'), timestamp...), '.')
	signatures := ""
	for i := range keys {
		if k := &keys[i]; k.until == 0 || now < k.until {
			if signatures != "" {
				signatures += " "
			}
			signatures += k.signature(head, body)
		}
	}
	if signatures != "" {
		header.Set(headerSignature, signatures)
	}
}
