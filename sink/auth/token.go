package auth

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"
)

// TokenError says that there is no token, and so no request. It holds whatever a token endpoint answered: hide secrets in it.
type TokenError struct{ Err error }

func (e *TokenError) Error() string { return "no token: " + e.Err.Error() }
func (e *TokenError) Unwrap() error { return e.Err }

const (
	maxAhead = time.Minute // a token is renewed so long before it expires, or when a fifth of its life is left
	doubtful = time.Minute // a token that was never accepted is not renewed for a 401 more often than this

	afterFailure = 5 * time.Second // a token that still holds is not renewed more often than this after a failure
)

// Caller is an Auth at one client. It keeps a token, and renews it: before it expires, once after a 401, never twice at a time.
// It is safe for concurrent use; a nil *Caller sets no header.
type Caller struct {
	auth     *Auth
	client   *http.Client // by which token endpoints are asked
	learn    func(secret string)
	renewing chan struct{} // has an element while somebody renews

	mu       sync.Mutex
	now      token     // none: its header is ""
	due      time.Time // when it is to be renewed; zero: never
	accepted bool      // an answer other than 401 came to it
	dropped  time.Time // when a 401 last ended a token
	renewals int       // that ended
	failed   error     // why the last of them gave no token
}

// Caller is the Auth at a client. learn is told of every secret that requests will hold, before they do.
func (a *Auth) Caller(client *http.Client, learn func(secret string)) *Caller {
	if a == nil {
		return nil
	}
	return &Caller{auth: a, client: client, learn: learn, renewing: make(chan struct{}, 1)}
}

// Header is the value of the header Authorization. Its error is a *TokenError, or that of a ctx that was cancelled.
func (c *Caller) Header(ctx context.Context) (string, error) {
	if c.auth.fetch == nil {
		return c.auth.header, nil
	}
	header, due, seen := c.current()
	if !due {
		return header, nil
	}
	if ours, err := c.wait(ctx, header != ""); !ours {
		return header, err
	}
	defer func() { <-c.renewing }()
	header, due, renewals := c.current()
	if !due {
		return header, nil
	}
	if err := c.failure(); err != nil && renewals != seen && header == "" { // while this attempt waited: the next one asks again
		return "", err
	}
	got, err := c.auth.fetch(ctx, c.client, c.learn)
	if errors.Is(ctx.Err(), context.Canceled) { // that says nothing of the token
		return "", ctx.Err()
	}
	if err != nil {
		err = &TokenError{err}
	}
	c.renewed(got, err)
	if header, _, _ := c.current(); err != nil && header != "" && ctx.Err() == nil {
		return header, nil
	}
	return got.header, err
}

// wait waits until nobody else renews; with a token that still holds it does not. ours says that now this attempt does.
func (c *Caller) wait(ctx context.Context, holds bool) (ours bool, err error) {
	select {
	case c.renewing <- struct{}{}:
		return true, nil
	default:
	}
	if holds {
		return false, nil
	}
	select {
	case c.renewing <- struct{}{}:
		return true, nil
	case <-ctx.Done():
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return false, ctx.Err()
	}
	return false, &TokenError{errors.New("another attempt has been asking for one all the time")}
}

// current is the header that still holds, "" where none does, whether it is time to renew it, and the number of renewals so far.
func (c *Caller) current() (header string, due bool, renewals int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if !c.now.expires.IsZero() && !now.Before(c.now.expires) {
		c.now = token{}
	}
	return c.now.header, c.now.header == "" || !c.due.IsZero() && !now.Before(c.due), c.renewals
}

func (c *Caller) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed
}

// renewed notes how a renewal ended. After a failure a token that still holds is used on, and renewed a little later.
func (c *Caller) renewed(got token, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.renewals++
	if c.failed = err; err != nil {
		c.due = time.Now().Add(afterFailure)
		return
	}
	c.now, c.accepted, c.due = got, false, time.Time{}
	if !got.expires.IsZero() {
		c.due = got.expires.Add(-min(maxAhead, max(0, time.Until(got.expires))/5))
	}
}

// Answered takes the status that came to a request with that header. It reports whether another try may fare better, since it would
// have another token: after a 401.
func (c *Caller) Answered(header string, status int) (again bool) {
	if c == nil || c.auth.fetch == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	current := c.now.header == header
	switch now := time.Now(); {
	case status != http.StatusUnauthorized:
		c.accepted = c.accepted || current
		return false
	case !current: // it has been renewed, or is about to be
		return true
	case !c.accepted && now.Sub(c.dropped) < doubtful: // it was renewed for a 401, and that did not help
		return false
	default:
		c.now, c.due, c.dropped = token{}, time.Time{}, now
		return true
	}
}
