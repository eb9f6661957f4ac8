package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// topicReport is what is known of a topic, and what keeps the services from starting.
type topicReport struct {
	Name       string `json:"name"`
	Partitions int    `json:"partitions"`
	Problem    string `json:"problem,omitempty"`
	Note       string `json:"note,omitempty"`
}

// inspectTopics looks at every topic that tripline.yaml names, and at those that the services make themselves.
func inspectTopics(ctx context.Context, admin *kadm.Client, cfg *loaded) ([]topicReport, error) {
	var all []topicReport
	counts := map[string]int{}
	first := ""
	for _, t := range cfg.topics() {
		d, r, err := inspectTopic(ctx, admin, cfg, &t)
		if err != nil {
			return nil, err
		}
		counts[t.name] = r.Partitions
		switch {
		case errors.Is(d.Err, kerr.UnknownTopicOrPartition):
			r.Problem = "missing; `tripline topics create` makes it"
		case d.Err != nil:
		case t.input && first == "":
			first = t.name
		case t.input && r.Partitions != counts[first]:
			r.add(fmt.Sprintf("but %s has %d: event topics and the profile topic must have the same number", first, counts[first]))
		}
		if d.Err == nil && t.input {
			r.Note = timestampNote(ctx, admin, t.name)
		}
		all = append(all, r)
	}
	for _, own := range []struct{ name, as, by string }{
		{cfg.Group + "-processor-changelog", first, "processor"},
		{cfg.Group + "-sink-changelog", cfg.Topics.Triggers, "sink"},
		{cfg.Group + "-sink-control", "", "sink"},
	} {
		t := topic{name: own.name, needs: []kadm.ACLOperation{kmsg.ACLOperationRead, kmsg.ACLOperationWrite}}
		d, r, err := inspectTopic(ctx, admin, cfg, &t)
		switch n := counts[own.as]; {
		case err != nil:
			return nil, err
		case errors.Is(d.Err, kerr.UnknownTopicOrPartition):
			r.missing(ctx, admin, own.by)
		case d.Err == nil && own.as != "" && n > 0 && n != r.Partitions:
			r.add(fmt.Sprintf("but %s has %d: a changelog has as many as its input", own.as, n))
		}
		all = append(all, r)
	}
	return all, nil
}

// inspectTopic asks for one topic. What its Err says, but for its being unknown, is a problem of the report.
func inspectTopic(ctx context.Context, admin *kadm.Client, cfg *loaded, t *topic) (kadm.TopicDetail, topicReport, error) {
	r := topicReport{Name: t.name}
	details, err := admin.ListTopics(kadm.WithAuthorizedOps(ctx), t.name)
	d := details[t.name]
	var refused *kadm.AuthError
	if errors.As(err, &refused) {
		d.Err, err = refused, nil
	}
	if err != nil {
		return d, r, cfg.explain("look at "+t.name, err)
	}
	r.Partitions = len(d.Partitions)
	switch {
	case refused != nil || errors.Is(d.Err, kerr.TopicAuthorizationFailed):
		r.Problem = "it is missing, or " + cfg.who() + " has no permission to describe it"
	case d.Err != nil && !errors.Is(d.Err, kerr.UnknownTopicOrPartition):
		r.Problem = d.Err.Error()
	}
	for _, o := range t.needs {
		if d.Err == nil && len(d.AuthorizedOperations) > 0 && !slices.Contains(d.AuthorizedOperations, o) && !slices.Contains(d.AuthorizedOperations, kmsg.ACLOperationAll) {
			r.add(cfg.who() + " has no permission to " + strings.ToLower(o.String()))
		}
	}
	return d, r, nil
}

// add puts a further problem behind those that there are.
func (r *topicReport) add(problem string) {
	r.Problem = strings.TrimPrefix(r.Problem+"; "+problem, "; ")
}

// missing is about a topic that a service makes at its first start, if it may.
func (r *topicReport) missing(ctx context.Context, admin *kadm.Client, by string) {
	responses, err := admin.ValidateCreateTopics(ctx, 1, -1, nil, r.Name)
	var refused *kadm.AuthError
	if errors.As(err, &refused) || errors.Is(responses[r.Name].Err, kerr.TopicAuthorizationFailed) || errors.Is(responses[r.Name].Err, kerr.ClusterAuthorizationFailed) {
		r.Problem = "missing, and there is no permission to create it"
		return
	}
	r.Note = "not there yet; the " + by + " makes it at its first start"
}

// inspectAccess says what a permission is missing for besides topics: the consumer groups, and the ids of transactions.
func inspectAccess(ctx context.Context, admin *kadm.Client, cfg *loaded) (problems []string) {
	for _, service := range []string{"processor", "sink"} {
		name := cfg.Group + "-" + service
		groups, err := admin.DescribeGroups(ctx, name)
		if errors.Is(err, kerr.GroupAuthorizationFailed) || errors.Is(groups[name].Err, kerr.GroupAuthorizationFailed) {
			problems = append(problems, cfg.who()+" has no permission for the group "+name+" (describe, read)")
		}
		id := name + "-0"
		transactions, err := admin.DescribeTransactions(ctx, id)
		if errors.Is(err, kerr.TransactionalIDAuthorizationFailed) || errors.Is(transactions[id].Err, kerr.TransactionalIDAuthorizationFailed) {
			problems = append(problems, cfg.who()+" has no permission for transactional ids that begin with "+name+"- (describe, write)")
		}
	}
	return problems
}

// who is as whom the brokers know us.
func (cfg *loaded) who() string {
	if s := cfg.Kafka.SASL; s != nil {
		return "user " + s.Username.String()
	}
	return "this client"
}

// printTopics says whether there is a problem, and prints a line for each topic if it is to.
func printTopics(out io.Writer, all []topicReport, text bool) (bad bool) {
	for _, r := range all {
		bad = bad || r.Problem != ""
		var parts []string
		if r.Partitions > 0 {
			parts = append(parts, plural(r.Partitions, "partition"))
		}
		for _, part := range []string{r.Problem, r.Note} {
			if part != "" {
				parts = append(parts, part)
			}
		}
		if text {
			fmt.Fprintln(out, r.Name+": "+strings.Join(parts, "; "))
		}
	}
	return bad
}

// timestampNote recommends LogAppendTime, under which the broker settles a record's arrival.
func timestampNote(ctx context.Context, admin *kadm.Client, name string) string {
	configs, err := admin.DescribeTopicConfigs(ctx, name)
	if err != nil {
		return ""
	}
	for _, c := range configs {
		for _, kv := range c.Configs {
			if kv.Key == "message.timestamp.type" && kv.MaybeValue() != "LogAppendTime" {
				return "message.timestamp.type=LogAppendTime is recommended: producers' timestamps are only as good as their clocks"
			}
		}
	}
	return ""
}
