package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/sink"
	"github.com/tripline/tripline/sink/call"
	"github.com/tripline/tripline/sink/control"
	"github.com/tripline/tripline/sink/policy"
)

func endpointCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "endpoint",
		Short:   "Pause, resume, show and try where webhooks go",
		Example: "  tripline endpoint status\n  tripline endpoint pause ops-center\n  tripline endpoint test ops-center",
	}
	c.AddCommand(stateCommand("pause", control.Paused, "Let all that is for an endpoint wait, in all sinks of the group"),
		stateCommand("resume", control.Active, "End a pause, or the disablement of an endpoint that answered 410"), endpointStatusCommand(), endpointTestCommand())
	return c
}

// stateCommand writes a state into the control topic, which the sinks follow, those that run and those that will.
func stateCommand(name, state, short string) *cobra.Command {
	var configFile string
	c := &cobra.Command{
		Use:     name + " NAME",
		Short:   short,
		Example: "  tripline endpoint " + name + " ops-center",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cfg, plan, err := loadPlan(configFile)
			if err != nil {
				return err
			}
			topic := sink.ControlTopic(cfg.Group)
			told, err := endpointStates(c.Context(), cfg, topic)
			if err != nil {
				return err
			}
			now := told.states[args[0]]
			switch {
			case plan.Print(args[0]) == "" && now.Endpoint == "":
				return fmt.Errorf("there is no endpoint %s in %s", args[0], configFile)
			case state == control.Paused && effective(now, plan) == control.Disabled:
				return fmt.Errorf("%s is disabled since %s (%s): what is for it fails, and does not wait; resume it first", args[0], now.Time, now.Cause)
			}
			if err := control.Create(c.Context(), topic, cfg.client()); err != nil {
				return cfg.explain("create "+topic, err)
			}
			r := control.State{Endpoint: args[0], State: state, Cause: name + "d by command", Time: calendar.FormatTime(time.Now().UnixMilli())}.Record(topic)
			if err := produceOne(c.Context(), cfg, r); err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s is %s\n", args[0], state)
			return err
		},
	}
	addConfigFlag(c, &configFile)
	c.ValidArgsFunction = cobra.NoFileCompletions
	return c
}

// loadPlan reads the configuration and what the sink makes of it.
func loadPlan(file string) (*loaded, *sink.Plan, error) {
	cfg, all, err := loadCampaigns(file)
	if err != nil {
		return nil, nil, err
	}
	plan, err := compilePlan(all)
	return cfg, plan, err
}

// toldStates are what the control topic says, by endpoint: its state, since when it fails, and until when it has asked for nothing.
type toldStates struct{ states, failing, held map[string]control.State }

// endpointStates reads what the control topic says; without the topic nothing is said.
func endpointStates(ctx context.Context, cfg *loaded, topic string) (toldStates, error) {
	all := toldStates{map[string]control.State{}, map[string]control.State{}, map[string]control.State{}}
	there, err := topicExists(ctx, cfg, topic)
	if err != nil || !there {
		return all, err
	}
	err = scan{topics: []string{topic}, since: time.UnixMilli(0)}.each(ctx, cfg, func(r *kgo.Record) error {
		s, err := control.Parse(r)
		switch {
		case err != nil: // the sinks leave out what cannot be read, too
		case s.State == control.Failing:
			all.failing[s.Endpoint] = s
		case s.State == control.Held:
			all.held[s.Endpoint] = s
		default:
			all.states[s.Endpoint] = s
		}
		return nil
	})
	return all, err
}

func topicExists(ctx context.Context, cfg *loaded, topic string) (bool, error) {
	client, err := kgo.NewClient(cfg.client()...)
	if err != nil {
		return false, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	topics, err := kadm.NewClient(client).ListTopics(ctx)
	if err != nil {
		return false, cfg.explain("read "+topic, err)
	}
	return topics.Has(topic), nil
}

// effective is the state that holds for an endpoint as it is configured.
func effective(s control.State, plan *sink.Plan) string {
	switch {
	case s.State == control.Paused, s.State == control.Disabled && s.Print == plan.Print(s.Endpoint):
		return s.State
	}
	return control.Active
}

// endpointStatus is a line of `endpoint status`.
type endpointStatus struct {
	Endpoint string `json:"endpoint"`
	State    string `json:"state"`
	Cause    string `json:"cause,omitempty"`
	Trigger  string `json:"trigger_id,omitempty"`
	Since    string `json:"since,omitempty"`

	// Since when no attempt has succeeded, and when disable_after is over: of an active endpoint that has one, after the first of its time.
	FailingSince string `json:"failing_since,omitempty"`
	DisabledAt   string `json:"disabled_at,omitempty"`
	HeldUntil    string `json:"held_until,omitempty"` // by what it has asked for (Retry-After)
}

// fails says that an active endpoint fails, by what the sinks have told last, unless somebody has paused or resumed it since.
func (s *endpointStatus) fails(f, state control.State, plan *sink.Plan, disableAfter int64) {
	if s.State == control.Active && disableAfter > 0 && f.Began() != 0 && f.Print == plan.Print(s.Endpoint) && f.At() >= state.At() {
		s.FailingSince, s.DisabledAt = f.Since, calendar.FormatTime(f.Began()+disableAfter)
	}
}

func (s *endpointStatus) print(w io.Writer) error {
	text := fmt.Sprintf("%-24s  %-8s%s%s%s", s.Endpoint, s.State, behind("  ", s.Since), behind("  ", s.Cause), behind("  by ", s.Trigger))
	if s.FailingSince != "" {
		text += "  no success since " + s.FailingSince + "; without one it is disabled at " + s.DisabledAt
	}
	_, err := fmt.Fprintln(w, text+behind("  asked for nothing before ", s.HeldUntil))
	return err
}

func endpointStatusCommand() *cobra.Command {
	var configFile string
	c := &cobra.Command{
		Use:     "status [NAME]",
		Short:   "Show which endpoints are active, paused or disabled, and why, and which fail",
		Example: "  tripline endpoint status\n  tripline endpoint status ops-center --output json",
		Args:    cobra.MaximumNArgs(1),
	}
	addConfigFlag(c, &configFile)
	output := addOutputFlag(c, "text or json")
	c.ValidArgsFunction = cobra.NoFileCompletions
	c.RunE = func(c *cobra.Command, args []string) error {
		cfg, plan, err := loadPlan(configFile)
		if err != nil {
			return err
		}
		told, err := endpointStates(c.Context(), cfg, sink.ControlTopic(cfg.Group))
		if err != nil {
			return err
		}
		known, after := told.states, map[string]int64{}
		for _, e := range cfg.Endpoints {
			s := known[e.Name]
			s.Endpoint = e.Name
			known[e.Name] = s
			if e.DisableAfter != nil {
				after[e.Name] = int64(*e.DisableAfter)
			}
		}
		list := []endpointStatus{}
		for _, name := range slices.Sorted(maps.Keys(known)) {
			s := known[name]
			if len(args) > 0 && args[0] != name || plan.Print(name) == "" && effective(s, plan) == control.Active {
				continue
			}
			line := endpointStatus{Endpoint: name, State: effective(s, plan), Cause: s.Cause, Trigger: s.Trigger, Since: s.Time}
			line.fails(told.failing[name], s, plan, after[name])
			if h := told.held[name]; h.Ends() > time.Now().UnixMilli() && h.Print == plan.Print(name) {
				line.HeldUntil = h.Until
			}
			list = append(list, line)
		}
		if len(args) > 0 && len(list) == 0 {
			return fmt.Errorf("there is no endpoint %s in %s", args[0], configFile)
		}
		if output.word == "json" {
			return printJSON(c.OutOrStdout(), list)
		}
		for _, s := range list {
			if err := s.print(readable{c.OutOrStdout()}); err != nil {
				return err
			}
		}
		return nil
	}
	return c
}

func endpointTestCommand() *cobra.Command {
	var configFile, campaign string
	c := &cobra.Command{
		Use:     "test NAME",
		Short:   "Send a signed sample to an endpoint, and show request and response",
		Long:    "Render a sample trigger, send it once with the header webhook-test: true, and show what was sent and what came back. Nothing is recorded.",
		Example: "  tripline endpoint test ops-center\n  tripline endpoint test ops-center --campaign abandoned-cart --output json",
		Args:    cobra.ExactArgs(1),
	}
	addConfigFlag(c, &configFile)
	c.Flags().StringVar(&campaign, "campaign", "", "whose text to render (default: the first that delivers to the endpoint)")
	output := addOutputFlag(c, "text or json")
	c.ValidArgsFunction = cobra.NoFileCompletions
	c.RunE = func(c *cobra.Command, args []string) error {
		_, plan, err := loadPlan(configFile)
		if err != nil {
			return err
		}
		p, err := plan.Probe(c.Context(), call.Network{}, args[0], campaign, version)
		if err != nil {
			return err
		}
		if output.word == "json" {
			err = printJSON(c.OutOrStdout(), p)
		} else {
			err = printProbe(readable{c.OutOrStdout()}, p)
		}
		if err == nil && p.Outcome != policy.Delivered {
			err = errSilent
		}
		return err
	}
	return c
}

func printProbe(w io.Writer, p *sink.Probe) error {
	text := fmt.Sprintf("%s %s\n", p.Method, p.URL)
	for _, name := range slices.Sorted(maps.Keys(p.Header)) {
		for _, v := range p.Header[name] {
			text += name + ": " + v + "\n"
		}
	}
	text += behind("\n", p.Body) + "\n\n"
	if p.Status > 0 {
		text += fmt.Sprintf("status %d after %d ms: ", p.Status, p.Latency)
	}
	switch {
	case p.Outcome == policy.Delivered:
		text += "a success"
	case p.Outcome == policy.Retry:
		text += "no success; a delivery would be tried again"
	default:
		text += "no success; a delivery would fail"
	}
	if p.Status == 0 {
		text += behind(" (", p.Reason) + behind(": ", p.Error) + ")"
	}
	_, err := fmt.Fprint(w, text+"\n"+behind("\n", p.Response)+"\n")
	return err
}
