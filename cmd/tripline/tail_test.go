package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/config"
	"github.com/tripline/tripline/processor/registry"
)

// What tail prints is what its filters let through, whatever stands beside it in the topic.
func TestTailFilters(t *testing.T) {
	moment := time.UnixMilli(1_770_000_000_000)
	record := func(key, value string) *kgo.Record {
		return &kgo.Record{Key: []byte(key), Value: []byte(value), Timestamp: moment}
	}
	deliveries := []*kgo.Record{
		record("ann", `{"n":1,"campaign":"c","user_id":"ann","endpoint":"e","outcome":"failed"}`),
		record("ann", `{"n":2,"campaign":"d","user_id":"ann","endpoint":"e","outcome":"delivered"}`),
		record("bob", `{"n":3,"campaign":"c","user_id":"bob","endpoint":"f","outcome":"failed"}`),
		record("bob", ""),
		record("bob", "no json 5"),
	}
	for _, c := range []struct {
		tail tail
		want string
	}{
		{tail{}, "1235"},
		{tail{user: "ann"}, "12"},
		{tail{user: "bob"}, "35"},
		{tail{campaign: "c"}, "13"},
		{tail{endpoint: "e"}, "12"},
		{tail{outcome: choice{word: failed}}, "13"},
		{tail{outcome: choice{word: failed}, endpoint: "f", user: "bob", campaign: "c"}, "3"},
	} {
		var out bytes.Buffer
		c.tail.out, c.tail.json = &out, true
		for _, r := range deliveries {
			c.tail.print(r, "")
		}
		got := ""
		for _, line := range strings.Split(out.String(), "\n") {
			for _, n := range "12345" {
				if strings.Contains(line, string(n)) {
					got += string(n)
				}
			}
		}
		if got != c.want {
			t.Errorf("%+v lets %s through, want %s", c.tail, got, c.want)
		}
	}
	var out bytes.Buffer
	erases := tail{out: &out, user: "bob"}
	erases.print(deliveries[3], "")
	if out.String() != "2026-02-02T02:40:00.000Z bob (empty: the user is erased)\n" {
		t.Errorf("%q", out.String())
	}
}

// An event's user is who the configured form says.
func TestTailFindsUsersOfOtherForms(t *testing.T) {
	cfg := config.Default()
	cfg.Key = "ignored"
	records := registry.Reader{Envelope: cfg.Envelope()}
	var out bytes.Buffer
	l := tail{out: &out, user: "ann", records: &records, json: true}
	next := func(r *kgo.Record) {
		if err := l.next(t.Context(), r); err != nil {
			t.Error(err)
		}
	}
	next(&kgo.Record{Timestamp: time.UnixMilli(1), Key: []byte("shard-1"), Value: []byte(`{"user_id":"ann","event":"Paid"}`)})
	next(&kgo.Record{Timestamp: time.UnixMilli(1), Key: []byte("ann"), Value: []byte(`{"user_id":"bob","event":"Paid"}`)})
	if out.String() != `{"user_id":"ann","event":"Paid"}`+"\n" {
		t.Errorf("%q", out.String())
	}
}
