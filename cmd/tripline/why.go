package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/processor"
	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/explain"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/state/lane"
)

// whyOptions are the flags of tripline why.
type whyOptions struct {
	config, campaign string
	urls             []string
	since            time.Duration
	output           *choice
}

func whyCommand() *cobra.Command {
	var o whyOptions
	var since string
	c := &cobra.Command{
		Use:   "why USER --campaign C",
		Short: "Explain why a campaign has or has not triggered for a user",
		Long: `Ask the running processor that has the user: what the user did, which condition holds and which does not, what waits until
when, and what came of earlier qualifications. The processor is found through the consumer group; --url names it instead.`,
		Example: "  tripline why u-17 --campaign abandoned-cart\n  tripline why u-17 --campaign abandoned-cart --url http://10.0.0.7:8080 --output json",
		Args:    cobra.ExactArgs(1),
	}
	addConfigFlag(c, &o.config)
	f := c.Flags()
	f.StringVar(&o.campaign, "campaign", "", "the campaign (required)")
	f.StringArrayVar(&o.urls, "url", nil, "address of a processor's pages; may be given more than once")
	f.StringVar(&since, "since", "30d", "how far back triggers and decisions are looked for")
	o.output = addOutputFlag(c, "text or json")
	c.ValidArgsFunction = cobra.NoFileCompletions
	c.RunE = func(c *cobra.Command, args []string) error {
		if o.campaign == "" {
			return errors.New("--campaign is required: the name of the campaign that is to be explained")
		}
		ms, err := calendar.ParseDuration(since)
		if err != nil || ms <= 0 {
			return fmt.Errorf("--since: expected a duration as in 30d, not %q", since)
		}
		o.since = time.Duration(ms) * time.Millisecond
		return why(c, args[0], &o)
	}
	return c
}

func why(c *cobra.Command, user string, o *whyOptions) error {
	cfg, err := loadConfig(c, o.config)
	if err != nil {
		return err
	}
	urls := o.urls
	if len(urls) == 0 {
		if urls, err = owners(c.Context(), cfg, user); err != nil {
			return err
		}
	}
	x, err := ask(c.Context(), urls, user, o.campaign)
	if err != nil {
		return err
	}
	since := time.Now().Add(-o.since)
	list, err := past(c.Context(), cfg, user, o, since)
	if err != nil {
		fmt.Fprintf(c.ErrOrStderr(), "earlier triggers and decisions are not shown: %v\n", err)
		since = time.Now() // of what came before, nobody knows all
	}
	x.Remember(list, calendar.FormatTime(since.UnixMilli()))
	if o.output.word == "json" {
		return printJSON(c.OutOrStdout(), x)
	}
	_, err = io.WriteString(c.OutOrStdout(), x.Text())
	return err
}

// owners are the addresses of the group's members, first that of the one that has the partition of the user's key.
func owners(ctx context.Context, cfg *loaded, user string) (urls []string, err error) {
	client, err := kgo.NewClient(cfg.client()...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	group := cfg.Group + "-processor"
	members, err := lane.Owners(ctx, client, group)
	if err != nil {
		return nil, cfg.explain("find the processors", err)
	}
	count := 0
	for _, m := range members {
		count += len(m.Partitions)
	}
	if count == 0 {
		return nil, fmt.Errorf("no processor of group %s is running; start `tripline processor`, or name one with --url", group)
	}
	own := partitionOf(user, count)
	slices.SortStableFunc(members, func(a, b lane.Owner) int {
		return boolOrder(slices.Contains(a.Partitions, own), slices.Contains(b.Partitions, own))
	})
	for _, m := range members {
		if m.Address != "" {
			urls = append(urls, "http://"+m.Address)
		}
	}
	if len(urls) == 0 {
		return nil, fmt.Errorf("the processors of group %s tell no addresses; name one with --url", group)
	}
	return urls, nil
}

// boolOrder sorts what is true first.
func boolOrder(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// ask asks the processors in order until one knows the user. Which of them could not be asked is told if none does.
func ask(ctx context.Context, urls []string, user, name string) (*explain.Explanation, error) {
	var failed []error
	for _, address := range urls {
		x, err := askOne(ctx, address, user, name)
		if err == nil {
			return x, nil
		}
		failed = append(failed, fmt.Errorf("%s: %w", address, err))
	}
	return nil, fmt.Errorf("no processor can say: %w", errors.Join(failed...))
}

func askOne(ctx context.Context, address, user, name string) (*explain.Explanation, error) {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	query := url.Values{"user": {user}, "campaign": {name}}
	r, err := http.NewRequestWithContext(ctx, "GET", strings.TrimSuffix(address, "/")+"/why?"+query.Encode(), nil)
	if err != nil {
		return nil, fmt.Errorf("expected an address as in http://10.0.0.7:8080: %w", err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<20))
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		var refused whyRefusal
		if json.Unmarshal(body, &refused) != nil || refused.Error == "" {
			return nil, fmt.Errorf("it answers %s; is this the address of a processor?", response.Status)
		}
		return nil, errors.New(refused.Error)
	}
	x := &explain.Explanation{}
	if err := json.Unmarshal(body, x); err != nil {
		return nil, fmt.Errorf("its answer cannot be read: %w", err)
	}
	return x, nil
}

// whyRefusal is the answer where nothing can be explained.
type whyRefusal struct {
	Error string `json:"error"`
}

// whyPage answers GET /why?user=U&campaign=C.
func whyPage(p *processor.Processor) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		user, name := r.URL.Query().Get("user"), r.URL.Query().Get("campaign")
		status, answer := http.StatusOK, any(nil)
		x, err := p.Why(user, name, time.Now().UnixMilli())
		switch answer = x; {
		case user == "" || name == "":
			status, answer = http.StatusBadRequest, whyRefusal{"user and campaign are required, as in /why?user=u-17&campaign=abandoned-cart"}
		case errors.Is(err, processor.ErrUnknownUser) || errors.Is(err, processor.ErrUnknownCampaign):
			status, answer = http.StatusNotFound, whyRefusal{err.Error()}
		case err != nil:
			status, answer = http.StatusInternalServerError, whyRefusal{err.Error()}
		}
		w.Header().Set("content-type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(answer) // the client has gone: nothing to do
	}
}

// past is what became of the user's qualifications of the campaign, as the topics tell, oldest first. Of a user who was erased and
// has come back it is what came since.
func past(ctx context.Context, cfg *loaded, user string, o *whyOptions, since time.Time) (list []explain.Past, err error) {
	var erasure *kgo.Record // the newest
	var records []*kgo.Record
	s := scan{topics: []string{cfg.Topics.Triggers, cfg.Topics.Decisions}, key: user, since: since}
	err = s.each(ctx, cfg, func(r *kgo.Record) error {
		switch {
		case string(r.Key) != user:
		case len(r.Value) > 0:
			records = append(records, r)
		case r.Topic == cfg.Topics.Triggers:
			erasure = r
		}
		return nil
	})
	for _, r := range records {
		if erasure != nil && (r.Topic == erasure.Topic && r.Offset < erasure.Offset || r.Topic != erasure.Topic && r.Timestamp.Before(erasure.Timestamp)) {
			continue
		}
		if r.Topic == cfg.Topics.Triggers {
			if t, err := record.ParseTrigger(r.Value); err == nil && t.Campaign == o.campaign && t.User == user {
				list = append(list, explain.Past{Time: calendar.FormatTime(t.Time), Outcome: "triggered", ID: t.ID})
			}
			continue
		}
		if d, err := record.ParseDecision(r.Value); err == nil && d.Campaign == o.campaign && d.User == user {
			list = append(list, explain.Past{Time: calendar.FormatTime(d.Time), Outcome: d.Decision, Reason: d.Reason, Detail: d.Detail, ID: d.TriggerID})
		}
	}
	// Of one moment what triggered comes first: it is why reentry and caps stopped the others.
	rank := func(p explain.Past) int {
		if p.Outcome == "triggered" {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(list, func(a, b explain.Past) int {
		return cmp.Or(strings.Compare(a.Time, b.Time), cmp.Compare(rank(a), rank(b)))
	})
	return list, err
}
