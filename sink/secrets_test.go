//go:build synctests

package sink

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/tripline/tripline/sink/auth"
	"github.com/tripline/tripline/sink/request"
)

// TestSecrets holds that no secret reaches a record or a log line, wherever an endpoint puts it.
func TestSecrets(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		signing := "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("S", 32)))
		ops := w.receive("ops", func(_ int, g got, rw http.ResponseWriter) {
			rw.WriteHeader(400)
			fmt.Fprintf(rw, "%s %s %s", g.path, g.header.Get("Authorization"), signing)
		})
		e := ops.endpoint()
		e.URL += "/p4th-t0ken?key=qu3ry-t0ken"
		e.Headers = map[string]string{"Authorization": "Bearer h3ader-t0ken"}
		e.Secrets = []string{"p4th-t0ken", "qu3ry-t0ken"}
		e.Signing = []request.Secret{{Value: signing}}
		other := w.receive("other", func(_ int, g got, rw http.ResponseWriter) {
			rw.WriteHeader(400)
			io.WriteString(rw, g.header.Get("Authorization"))
		})
		basic := other.endpoint()
		basic.Auth.Basic = &auth.Basic{Username: "u", Password: "p4ssw0rd"}
		p := w.launch(nil, w.plan([]Endpoint{e, basic}, delivers("c", to(ops), to(other))))
		w.send(trigger("trg_1", "u", "ops"), trigger("trg_2", "u", "other"))
		w.expect("trg_1", "1 failed 400")
		w.expect("trg_2", "1 failed 400")
		if g, d := other.requests()[0], w.deliveries()["trg_2"][0]; g.header.Get("Authorization") != "Basic dTpwNHNzdzByZA==" || d.Response != "Basic ***" {
			t.Errorf("%v %+v", g.header, d)
		}
		d := w.deliveries()["trg_1"][0]
		if d.URL != fmt.Sprintf("http://ops.example:%d/hook/***", ops.port) || d.Response != "/hook/*** *** ***" {
			t.Errorf("%+v", d)
		}
		text := fmt.Sprint(p.logs.All())
		for _, r := range append(w.read("deliveries"), w.read("dead-letters")...) {
			text += string(r.Value) + fmt.Sprint(r.Headers)
		}
		for _, secret := range []string{"p4th-t0ken", "qu3ry-t0ken", "h3ader-t0ken", signing, "p4ssw0rd", "dTpwNHNzdzByZA"} {
			if strings.Contains(text, secret) {
				t.Errorf("%s is in a record or a log line", secret)
			}
		}
		if n := p.logs.FilterMessage("attempt").Len(); n != 2 {
			t.Errorf("%d log lines of two attempts", n)
		}
		verifier, err := standardwebhooks.NewWebhook(signing)
		if err != nil {
			t.Fatal(err)
		}
		g := ops.requests()[0]
		if err := verifier.Verify([]byte(g.body), g.header); err != nil {
			t.Errorf("signature: %v", err)
		}
		p.stop()
	})
}

// TestFollowAuth holds that another password holds from the next attempt on, and that the same one keeps its connections.
func TestFollowAuth(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ops := w.receive("ops", func(n int, _ got, rw http.ResponseWriter) {
			if n == 1 {
				rw.WriteHeader(401)
			}
		})
		plan := func(password string) *Plan {
			e := ops.endpoint()
			e.Auth.Basic = &auth.Basic{Username: "u", Password: password}
			return w.plan([]Endpoint{e}, delivers("c", to(ops)))
		}
		p := w.launch(nil, plan("old"))
		w.send(trigger("trg_1", "u", "ops"))
		w.expect("trg_1", "1 retry 401")
		_, before, _ := p.sink.outlet("ops").current()
		p.sink.Follow(plan("old"))
		if _, same, _ := p.sink.outlet("ops").current(); same != before {
			t.Error("the same password has another client")
		}
		p.sink.Follow(plan("new"))
		w.expect("trg_1", "1 retry 401, 2 delivered 200")
		all := ops.requests()
		if _, password, _ := (&http.Request{Header: all[1].header}).BasicAuth(); password != "new" {
			t.Errorf("password %q", password)
		}
		p.stop()
	})
}

// issuing is a token endpoint; its tokens are t0ken-1, t0ken-2, and so on.
func (w *world) issuing(answer func(n int, rw http.ResponseWriter) bool) *receiver {
	issued := 0
	return w.receive("id", func(_ int, _ got, rw http.ResponseWriter) {
		if issued++; answer != nil && !answer(issued, rw) {
			return
		}
		rw.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(rw, `{"access_token":"t0ken-%d","expires_in":3600}`, issued)
	})
}

func asksFor(r *receiver, secret string) auth.Config {
	return auth.Config{OAuth2: &auth.OAuth2{TokenURL: r.endpoint().URL, ClientID: "c", ClientSecret: secret}}
}

// TestTokens holds what becomes of deliveries by tokens: a failure to get one is an attempt, a 401 is followed by a try at once, one
// token is for all, and another secret has another token.
func TestTokens(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.issuing(func(n int, rw http.ResponseWriter) bool {
			if n == 1 {
				rw.WriteHeader(500)
			}
			return n > 1
		})
		ops := w.receive("ops", func(_ int, g got, rw http.ResponseWriter) {
			if g.header.Get("Authorization") == "Bearer t0ken-2" {
				rw.WriteHeader(401)
			}
			io.WriteString(rw, g.header.Get("Authorization"))
		})
		plan := func(secret string) *Plan {
			e := ops.endpoint()
			e.Auth = asksFor(id, secret)
			return w.plan([]Endpoint{e}, delivers("c", to(ops)))
		}
		p := w.launch(nil, plan("s3cret"))
		w.send(trigger("trg_1", "u", "ops"))
		w.expect("trg_1", "1 retry token, 2 retry 401, 3 delivered 200")
		records := w.deliveries()["trg_1"]
		if error := records[0].Error; !strings.Contains(error, "answered 500") || records[1].Response != "Bearer ***" || records[2].Time-records[1].Time > 1000 {
			t.Errorf("%+v", records)
		}
		p.sink.Follow(plan("s3cret")) // the same: its token is kept, and hidden as before
		for i := range 20 {
			w.send(trigger(fmt.Sprint("trg_more", i), "u", "ops"))
		}
		for i := range 20 {
			w.expect(fmt.Sprint("trg_more", i), "1 delivered 200")
			if got := w.deliveries()[fmt.Sprint("trg_more", i)][0].Response; got != "Bearer ***" {
				t.Error(got)
			}
		}
		if n := len(id.requests()); n != 3 {
			t.Errorf("asked for %d tokens", n)
		}
		p.sink.Follow(plan("an0ther"))
		w.send(trigger("trg_last", "u", "ops"))
		w.expect("trg_last", "1 delivered 200")
		if all := id.requests(); len(all) != 4 || all[3].header.Get("Authorization") == all[2].header.Get("Authorization") {
			t.Errorf("asked for %d tokens", len(all))
		}
		if text := fmt.Sprint(p.logs.All()); strings.Contains(text, "t0ken") || strings.Contains(text, "s3cret") {
			t.Error("a secret is in a log line")
		}
		p.stop()
	})
}
