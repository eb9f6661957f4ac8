package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"
)

const avroEvents = `{"type":"record","name":"Event","fields":[{"name":"event","type":"string"},
{"name":"properties","type":{"type":"record","name":"Properties","fields":[{"name":"amount","type":"long"}]}}]}`

// Every command that reads events reads those with a schema.
func TestLineRegistry(t *testing.T) {
	fake := srfake.New(srfake.WithAuth("Basic dTpzM2NyZXQ="))
	defer fake.Close()
	fake.SeedSchema("events", 1, 7, sr.Schema{Schema: avroEvents})
	t.Setenv("REGISTRY_PASSWORD", "s3cret")
	l := newLine(t, 2, "")
	l.config += "registry: '" + strings.Replace(fake.URL(), "://", "://u:${REGISTRY_PASSWORD}@", 1) + "'\n"
	file := filepath.Join(l.dir, "tripline.yaml")
	l.write("tripline.yaml", l.config)
	p := l.start("processor", "a")
	coded, err := avro.MustParse(avroEvents).AppendEncode(binary.BigEndian.AppendUint32([]byte{0}, 7), map[string]any{"event": "Paid", "properties": map[string]any{"amount": 95}})
	if err != nil {
		t.Fatal(err)
	}
	first := &kgo.Record{Topic: l.cfg.Topics.Events[0], Key: []byte("ann"), Value: coded}
	if err := l.client.ProduceSync(t.Context(), first).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if _, err := run(t, "send", "ann", "Paid", "--properties", `{"amount":96}`, "--config", file); err != nil { // in plain JSON
		t.Fatal(err)
	}
	l.waitFor("a trigger", func() bool { return len(l.read(l.cfg.Topics.Triggers)) == 1 })
	p.stop()
	if strings.Contains(p.output.String(), "s3cret") || !strings.Contains(p.output.String(), `"schema fetched"`) {
		t.Errorf("the processor says %s", p.output)
	}

	if got := backtested(t, "--since", "1d", "--config", file); got.Events != 2 || len(got.Unreadable) != 0 {
		t.Errorf("the backtest's sums are %+v", got)
	}
	records := l.read(l.cfg.Topics.Triggers)
	out, err := run(t, "trace", header(records[0], "tripline-id"), "--config", file)
	if err != nil || !strings.Contains(out, "event        Paid {\"amount\":96}  ["+l.group) {
		t.Errorf("trace says %v\n%s", err, out)
	}
	out, err = run(t, "check", "--kafka", "--config", file)
	if err != nil || !strings.Contains(out, "schema registry: ok\n") {
		t.Errorf("check says %v\n%s", err, out)
	}
	l.tailed(file, first)

	fake.Close()
	for _, args := range []string{"check --kafka", "backtest --since 1d"} {
		out, err := run(t, append(strings.Fields(args), "--config", file)...)
		if said := out + errText(err); err == nil || !strings.Contains(said, "the schema registry at "+fake.URL()) || strings.Contains(said, "s3cret") {
			t.Errorf("%s without the registry: %v\n%s", args, err, out)
		}
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// tailed holds how tail shows records.
func (l *line) tailed(file string, first *kgo.Record) {
	l.t.Helper()
	cfg, _, err := loadCampaigns(file)
	if err != nil {
		l.t.Fatal(err)
	}
	records, err := cfg.reader(nil, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	defer records.Registry.Close()
	var out bytes.Buffer
	shown := tail{out: &out, user: "ann", json: true, records: &records}
	unknown := *first
	unknown.Value = []byte{0, 0, 0, 0, 8, 1}
	for _, r := range []kgo.Record{*first, unknown} {
		if err := shown.next(l.t.Context(), &r); err != nil {
			l.t.Fatal(err)
		}
	}
	lines := strings.Split(out.String(), "\n")
	if lines[0] != `{"event":"Paid","properties":{"amount":95}}` || !json.Valid([]byte(lines[1])) || !strings.Contains(lines[1], "does not know schema 8") {
		l.t.Errorf("tail shows %s", out.String())
	}
}
