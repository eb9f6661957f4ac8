package request

import (
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

// ParseSecret reads a secret of Standard Webhooks: whsec_ and the base64 of 24 to 64 bytes. Its error does not show it.
func ParseSecret(secret string) (key []byte, err error) {
	if strings.HasPrefix(secret, "whsk_") {
		return nil, errors.New("signatures of the form v1a (whsk_) are not available yet")
	}
	encoded, ok := strings.CutPrefix(secret, "whsec_")
	if !ok {
		return nil, errors.New("expected whsec_ and the base64 of 24 to 64 bytes")
	}
	key, err = base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, errors.New("what follows whsec_ is not base64")
	}
	if len(key) < 24 || len(key) > 64 {
		return nil, fmt.Errorf("a secret has 24 to 64 bytes, not %d", len(key))
	}
	return key, nil
}

// sign sets what an attempt at a moment (ms since the epoch) has for itself: the timestamp, and a signature per key over id,
// timestamp and body (Standard Webhooks, v1: HMAC-SHA256).
func sign(header http.Header, keys [][]byte, id string, now int64, body []byte) {
	timestamp := strconv.FormatInt(now/1000, 10)
	header.Set(headerTimestamp, timestamp)
	if len(keys) == 0 {
		return
	}
	var signatures []byte
	for i, key := range keys {
		if i > 0 {
			signatures = append(signatures, ' ')
		}
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + timestamp + "."))
		mac.Write(body)
		signatures = base64.StdEncoding.AppendEncode(append(signatures, "v1,"...), mac.Sum(nil))
	}
	header.Set(headerSignature, string(signatures))
}
