package request

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/tripline/tripline/processor/campaign"
)

// TestSignatureVectors are those of Standard Webhooks that its libraries share.
func TestSignatureVectors(t *testing.T) {
	for secret, want := range map[string]string{
		"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw":            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
		"whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc=": "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==",
	} {
		k, err := parseSecret(Secret{Value: secret})
		if err != nil {
			t.Fatal(err)
		}
		header := http.Header{}
		sign(header, []key{k}, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330_999, []byte(`{"test": 2432232314}`))
		if got := header.Get(headerSignature); got != want {
			t.Error(got)
		}
	}
}

// TestEd25519 has the key of RFC 8032, 7.1, test 1.
func TestEd25519(t *testing.T) {
	seed, _ := hex.DecodeString("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
	public, _ := hex.DecodeString("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
	whole := append(append([]byte{}, seed...), public...)
	for _, secret := range [][]byte{seed, whole} {
		value := "whsk_" + base64.StdEncoding.EncodeToString(secret)
		r, err := Render(target(t, Endpoint{Signing: []Secret{{Value: value}}}), content(t, campaign.Delivery{}), trigger(t), []byte(raw), 0)
		if err != nil {
			t.Fatal(err)
		}
		r.Sign(r.Header, 5000)
		encoded, ok := strings.CutPrefix(r.Header.Get(headerSignature), "v1a,")
		signature, err := base64.StdEncoding.DecodeString(encoded)
		if !ok || err != nil || !ed25519.Verify(public, []byte("trg_1.5."+string(r.Body)), signature) {
			t.Errorf("%s", r.Header.Get(headerSignature))
		}
		if ed25519.Verify(public, []byte("trg_1.6."+string(r.Body)), signature) {
			t.Error("another timestamp verifies")
		}
	}
}

func TestRotation(t *testing.T) {
	old, now := Secret{Value: secretOf(24), Until: 10_000}, Secret{Value: "whsk_" + secretOf(32)[6:]}
	r, err := Render(target(t, Endpoint{Signing: []Secret{old, now}}), content(t, campaign.Delivery{}), trigger(t), []byte(raw), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		at   int64
		want string
	}{{9_999, "v1 v1a"}, {10_000, "v1a"}} {
		header := http.Header{}
		r.Sign(header, c.at)
		var forms []string
		for _, s := range strings.Fields(header.Get(headerSignature)) {
			form, _, _ := strings.Cut(s, ",")
			forms = append(forms, form)
		}
		if strings.Join(forms, " ") != c.want {
			t.Errorf("at %d: %v", c.at, header)
		}
	}
}

func TestPayloads(t *testing.T) {
	values := map[string]string{"promo": "MT50"}
	for _, c := range []struct {
		d                 campaign.Delivery
		contentType, want string
	}{
		{campaign.Delivery{Payload: "standard"}, "application/json", `{"type":"abandoned-cart","timestamp":"2026-11-24T11:14:00.123Z","data":` + raw + `}`},
		{campaign.Delivery{Payload: "clevertap", KeyValues: values}, "application/json", `{"targetId":"abandoned-cart","key_values":{"promo":"MT50"},"profiles":[{"identity":"u-17","profileData":` +
			`{"name":"Ann","region":"eu","score":1.0,"big":12345678901234567890,"evil":"../admin?x=1#y","dots":"..","break":"a\r\nX-Evil: 1","path":"a/b"}` +
			`,"event_properties":{"amount":129.95,"a b":"spaced","time":"mine"}}]}`},
		{campaign.Delivery{Payload: "cloudevents"}, "application/cloudevents+json", `{"specversion":"1.0","id":"trg_1","source":"/tripline/night","type":"tripline.abandoned-cart",` +
			`"subject":"u-17","time":"2026-11-24T11:14:00.123Z","datacontenttype":"application/json","data":` + raw + `}`},
		{campaign.Delivery{Payload: "cloudevents", KeyValues: values, ContentType: "application/json"}, "application/json",
			`{"specversion":"1.0","id":"trg_1","source":"/tripline/night","type":"tripline.abandoned-cart",` +
				`"subject":"u-17","time":"2026-11-24T11:14:00.123Z","datacontenttype":"application/json","data":` + strings.TrimSuffix(raw, "}") + `,"key_values":{"promo":"MT50"}}}`},
	} {
		r, err := Render(target(t, Endpoint{Group: "night"}), content(t, c.d), trigger(t), []byte(raw+"\n"), 0)
		if err != nil {
			t.Fatal(err)
		}
		if string(r.Body) != c.want || !json.Valid(r.Body) || r.Header.Get("content-type") != c.contentType {
			t.Errorf("%s %s\n got %s\nwant %s", c.d.Payload, r.Header.Get("content-type"), r.Body, c.want)
		}
	}
}
