package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What check --kafka and topics check say to somebody whose topics or permissions are not there yet.
func TestTopicsCheck(t *testing.T) {
	describes := func(of kmsg.ACLResourceType, name string, operation kmsg.ACLOperation) kfake.ACL {
		return kfake.ACL{Resource: of, Name: name, Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: operation, Allow: true}
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "admin", "p"), kfake.User("PLAIN", "stranger", "p"),
		kfake.User("PLAIN", "reader", "p", describes(kmsg.ACLResourceTypeTopic, "events", kmsg.ACLOperationRead), describes(kmsg.ACLResourceTypeTopic, "triggers", kmsg.ACLOperationDescribe)))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	dir := t.TempDir()
	config := func(user, password, more string) string {
		brokers, _ := json.Marshal(cluster.ListenAddrs())
		file := filepath.Join(dir, user+".yaml")
		text := "kafka: {brokers: " + string(brokers) + ", sasl: {mechanism: PLAIN, username: " + user + ", password: " + password + "}}\n" + more
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	admin := config("admin", "p", "topics: {profiles: profiles}\n")
	expect := func(args string, fails bool, want ...string) {
		t.Helper()
		out, err := run(t, strings.Fields(args)...)
		if said := out + errText(err); (err != nil) != fails {
			t.Errorf("%s: %v\n%s", args, err, out)
		} else {
			for _, line := range want {
				if !strings.Contains(said, line) {
					t.Errorf("%s: no %q in\n%s", args, line, said)
				}
			}
		}
	}
	expect("topics check --config "+admin, true, "events: missing; `tripline topics create` makes it\n", "dead-letters: missing;",
		"tripline-processor-changelog: not there yet; the processor makes it at its first start\n")
	expect("topics create --partitions 3 --config "+admin, false, "events: created, 3 partitions\n")
	expect("topics check --config "+admin, false, "events: 3 partitions\n")
	expect("check --kafka --config "+admin, false, "tripline-sink-control: not there yet; the sink makes it at its first start\n")
	stranger := config("stranger", "p", "")
	expect("check --kafka --config "+stranger, true, "events: it is missing, or user stranger has no permission to describe it\n",
		"user stranger has no permission for the group tripline-processor (describe, read)\n", "transactional ids that begin with tripline-sink- (describe, write)\n")
	expect("topics create --config "+stranger, true, "create events: user stranger has no permission; `tripline check --kafka` says which are missing")
	out, _ := run(t, "topics", "check", "--config", config("reader", "p", "group: g\n"))
	if !strings.Contains(out, "events: 3 partitions\n") || !strings.Contains(out, "triggers: 3 partitions; user reader has no permission to read; user reader has no permission to write\n") {
		t.Errorf("the reader is told\n%s", out)
	}
	expect("topics check --config "+config("admin", "wrong", ""), true, "are kafka.sasl and kafka.tls what it wants?")

	// Counts that do not fit together.
	two := config("admin", "p", "group: g2\ntopics: {events: [more], triggers: g-triggers}\n")
	expect("topics create --partitions 2 --config "+two, false, "more: created, 2 partitions\n")
	expect("topics check --config "+config("admin", "p", "topics: {events: [events, more]}\n"), true, "more: 2 partitions; but events has 3: event topics and the profile topic must have the same number\n")
	expect("topics create --partitions 2 --config "+config("admin", "p", "topics: {events: [g3-processor-changelog], triggers: g3-sink-changelog}\n"), false)
	expect("topics check --config "+config("admin", "p", "group: g3\n"), true, "g3-processor-changelog: 2 partitions; but events has 3: a changelog has as many as its input\n",
		"g3-sink-changelog: 2 partitions; but triggers has 3: a changelog")
}
