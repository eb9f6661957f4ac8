package campaign_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tripline/tripline/config"
)

// problemsOf loads one campaign file as every command does.
func problemsOf(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	_, _, problems := config.CompileFiles([]string{file}, nil, config.Checks{})
	if err := problems.Err(); err != nil {
		return err.Error()
	}
	return ""
}

const (
	action   = "trigger: {single_action: {event: A}}\n"
	toE      = "deliver: {endpoint: e}\n"
	tenOfA   = "{event: A}, {event: A}, {event: A}, {event: A}, {event: A}, {event: A}, {event: A}, {event: A}, {event: A}, {event: A}"
	didNot   = "trigger: {inaction: {did: {event: A}, did_not: {event: B}, in_last: 7d, check: "
	watching = "trigger: {inaction_within_time: {after: {event: A}, without: {event: B}, "
	dated    = "trigger: {date_time_property: {event: A, "
	all      = "trigger: {actions: {within: 1h, all: "
)

var refused = `
name: UPPER|` + action + toE + ` => name
name: |` + action + toE + ` => name
name: ` + strings.Repeat("a", 64) + `|` + action + toE + ` => name
name: a|` + toE + ` => exactly one of
name: a|trigger: {}|` + toE + ` => exactly one of
name: a|trigger: {single_action: {event: A}, actions: {all: [{event: A, at_least: 2}], within: 1h}}|` + toE + ` => exactly one of
name: a|trigger: {single_action: {event: A, when: x}}|` + toE + ` => when
name: a|trigger: {single_action: {}}|` + toE + ` => event
name: a|trigger: {single_action: {event: ""}}|` + toE + ` => event
name: a|trigger: {single_action: {event: A, at_least: 1}}|` + toE + ` => at_least
name: a|trigger: {single_action: {event: A, alias: {k: l}}}|` + toE + ` => alias
name: a|trigger: {single_action: {any: [{event: A}]}}|` + toE + ` => 2 to 10
name: a|trigger: {single_action: {any: [` + tenOfA + `, {event: A}]}}|` + toE + ` => 2 to 10
name: a|trigger: {single_action: {event: A, any: [{event: A}, {event: B}]}}|` + toE + ` => any
name: a|trigger: {single_action: {where: 'true', any: [{event: A}, {event: B}]}}|` + toE + ` => any
name: a|trigger: {single_action: {at_least: 2, any: [{event: A}, {event: B}]}}|` + toE + ` => at_least
name: a|trigger: {single_action: {alias: {k: l}, any: [{event: A}, {event: B}]}}|` + toE + ` => alias
name: a|trigger: {single_action: {any: [{event: A, at_least: 2}, {event: B}]}}|` + toE + ` => at_least
name: a|trigger: {single_action: {event: A, occurrence: 0}}|` + toE + ` => occurrence
name: a|trigger: {single_action: {event: A, occurrence: -1}}|` + toE + ` => occurrence
name: a|trigger: {single_action: {event: A, occurrence: last}}|` + toE + ` => occurrence
name: a|trigger: {single_action: {event: A, where: 'event.x'}}|audience: '1'|` + toE + ` => audience
name: a|trigger: {single_action: {event: A, where: 'event.x +'}}|` + toE + ` => where
name: a|trigger: {single_action: {event: A, where: 'profile.x == 1'}}|` + toE + ` => profile
name: a|trigger: {single_action: {event: A, where: 'count("A", "1d") > 1'}}|` + toE + ` => count
name: a|` + action + `audience: '"5" == 5'|` + toE + ` => 5
name: a|` + action + `audience: 'since("A") > "3d"'|` + toE + ` => since
name: a|` + action + `audience: 'count("A") > 1'|` + toE + ` => count
name: a|` + action + `audience: 'count("A", "3 days") > 1'|` + toE + ` => 3 days
name: a|` + action + `audience: 'count(event.x, "3d") > 1'|` + toE + ` => count
name: a|` + action + `audience: 'count("A", "3d", "event.x >") > 1'|` + toE + ` => count
name: a|` + action + `audience: 'cuont("A", "3d") > 1'|` + toE + ` => count
name: a|` + all + `[]}}|` + toE + ` => 1 to 10
name: a|` + all + `[` + tenOfA + `, {event: A}]}}|` + toE + ` => 1 to 10
name: a|` + all + `[{event: A}]}}|` + toE + ` => at_least: 2
name: a|` + all + `[{event: A, at_least: 1}]}}|` + toE + ` => at_least: 2
name: a|` + all + `[{event: A, at_least: 0}, {event: B}]}}|` + toE + ` => at least 1
name: a|` + all + `[{event: A}, {event: B}], same: [k, k]}}|` + toE + ` => same
name: a|` + all + `[{event: A}, {event: B}], same: [""]}}|` + toE + ` => same
name: a|` + all + `[{event: A}, {event: B, alias: {j: i}}], same: [k]}}|` + toE + ` => alias
name: a|` + all + `[{event: A}, {where: 'true'}]}}|` + toE + ` => event
name: a|trigger: {actions: {all: [{event: A}, {event: B}]}}|` + toE + ` => within
name: a|trigger: {actions: {all: [{event: A}, {event: B}], within: 0s}}|` + toE + ` => within
name: a|` + watching + `within: -30m}}|` + toE + ` => within
name: a|` + watching + `within: 30}}|` + toE + ` => within
name: a|` + watching + `within: 1.5h}}|` + toE + ` => within
name: a|` + watching + `within: 30 m}}|` + toE + ` => within
name: a|` + watching + `within: 30m, on_repeat: again}}|` + toE + ` => on_repeat
name: a|trigger: {inaction_within_time: {after: {event: A, at_least: 2}, without: {event: B}, within: 30m}}|` + toE + ` => at_least
name: a|trigger: {inaction_within_time: {after: {event: A}, without: {event: B, at_least: 2}, within: 30m}}|` + toE + ` => at_least
name: a|trigger: {inaction_within_time: {without: {event: B}, within: 30m}}|` + toE + ` => after
name: a|trigger: {inaction_within_time: {after: {event: A}, within: 30m}}|` + toE + ` => without
name: a|trigger: {inaction: {did: {event: A}, did_not: {event: B}, in_last: 7d}}|` + toE + ` => check
name: a|trigger: {inaction: {did: {event: A}, did_not: {event: B}, check: {every: 1d}}}|` + toE + ` => in_last
name: a|trigger: {inaction: {did: {event: A}, in_last: 7d, check: {every: 1d}}}|` + toE + ` => did_not
name: a|trigger: {inaction: {did_not: {event: A}, in_last: 7d, check: {every: 1d}}}|` + toE + ` => did
name: a|` + didNot + `{}}}|` + toE + ` => check
name: a|` + didNot + `{at: "09:00"}}}|` + toE + ` => check
name: a|` + didNot + `{every: 1d, after: 2h}}}|` + toE + ` => check
name: a|` + didNot + `{after: 2h, at: "09:00"}}}|` + toE + ` => at
name: a|` + didNot + `{after: 2h, on: mon}}}|` + toE + ` => on
name: a|` + didNot + `{after: 0s}}}|` + toE + ` => after
name: a|` + didNot + `{after: 7d}}}|` + toE + ` => in_last
name: a|` + didNot + `{after: 8d}}}|` + toE + ` => in_last
name: a|` + didNot + `{every: 5h}}}|` + toE + ` => divisor
name: a|` + didNot + `{every: 2d}}}|` + toE + ` => divisor
name: a|` + didNot + `{every: 0s}}}|` + toE + ` => every
name: a|` + didNot + `{every: -1h}}}|` + toE + ` => every
name: a|` + didNot + `{every: 7d}}}|` + toE + ` => mon
name: a|` + didNot + `{every: 1w, on: day}}}|` + toE + ` => mon
name: a|` + didNot + `{every: 1d, on: mon}}}|` + toE + ` => 7d
name: a|` + didNot + `{every: 1d, at: "24:00"}}}|` + toE + ` => at
name: a|` + didNot + `{every: 1d, at: nine}}}|` + toE + ` => at
name: a|trigger: {date_time_property: {event: A}}|` + toE + ` => offset
name: a|` + dated + `offset: 0s}}|` + toE + ` => offset
name: a|` + dated + `offset: -1h}}|` + toE + ` => offset
name: a|trigger: {date_time_property: {property: d}}|` + toE + ` => event
name: a|trigger: {date_time_property: {offset: 1h}}|` + toE + ` => event
name: a|` + dated + `profile_property: d}}|` + toE + ` => profile_property
name: a|trigger: {date_time_property: {profile_property: d, property: p}}|` + toE + ` => profile_property
name: a|trigger: {date_time_property: {profile_property: d, same: [k]}}|` + toE + ` => profile_property
name: a|trigger: {date_time_property: {profile_property: d, where: 'true'}}|` + toE + ` => profile_property
name: a|trigger: {date_time_property: {profile_property: d, occurrence: first}}|` + toE + ` => profile_property
name: a|` + dated + `property: d, repeat: monthly}}|` + toE + ` => repeat
name: a|` + dated + `property: d, if_past: ask}}|` + toE + ` => if_past
name: a|` + dated + `property: d, at_least: 2}}|` + toE + ` => at_least
name: a|` + dated + `property: d, cancel: {event: B, at_least: 2}}}|` + toE + ` => at_least
name: a|` + dated + `property: d, at: 9}}|` + toE + ` => at
name: a|` + dated + `property: d, offset: soon}}|` + toE + ` => offset
name: a|` + action + `schedule: {start: 2026-01-02T00:00:00Z, end: 2026-01-02T00:00:00Z}|` + toE + ` => end
name: a|` + action + `schedule: {start: 2026-01-02}|` + toE + ` => start
name: a|` + action + `reentry: {}|` + toE + ` => reentry
name: a|` + action + `reentry: {once: true, min_gap: 1d}|` + toE + ` => reentry
name: a|` + action + `reentry: {once: true, max: 1, per: 1d}|` + toE + ` => reentry
name: a|` + action + `reentry: {max: 3}|` + toE + ` => reentry
name: a|` + action + `reentry: {per: 1d}|` + toE + ` => reentry
name: a|` + action + `reentry: {max: 0, per: 1d}|` + toE + ` => max
name: a|` + action + `reentry: {max: 1, per: 0s}|` + toE + ` => per
name: a|` + action + `reentry: {min_gap: 0s}|` + toE + ` => min_gap
name: a|` + action + `stale_after: -1h|` + toE + ` => stale_after
name: a|` + action + ` => deliver
name: a|` + action + `deliver: [] => deliver
name: a|` + action + `deliver: {} => endpoint
name: a|` + action + `deliver: [{endpoint: e}, {endpoint: e}] => e
name: a|` + action + `delay: 0s|` + toE + ` => above zero
name: a|` + action + `delay: -10m|` + toE + ` => above zero
name: a|` + action + `delay: soon|` + toE + ` => delay
name: a|` + action + `exit: [{event: B}]|` + toE + ` => nothing can wait
name: a|` + action + `exit: [{event: B}]|quiet_hours: {from: "22:00", to: "08:00", then: drop}|` + toE + ` => nothing can wait
name: a|` + action + `delay: 10m|exit: {event: B}|` + toE + ` => a list
name: a|` + action + `delay: 10m|exit: [{event: ""}]|` + toE + ` => event
name: a|` + action + `delay: 10m|exit: [{event: B, at_least: 2}]|` + toE + ` => at_least
name: a|` + action + `delay: 10m|exit: [{event: B, alias: {k: l}}]|` + toE + ` => alias
name: a|` + action + `delay: 10m|exit: [{event: B, where: 'profile.x == 1'}]|` + toE + ` => profile
name: a|` + action + `quiet_hours: {from: "22:00"}|` + toE + ` => beginning and an end
name: a|` + action + `quiet_hours: {to: "22:00"}|` + toE + ` => beginning and an end
name: a|` + action + `quiet_hours: {from: "22:00", to: "22:00"}|` + toE + ` => another time of day than from
name: a|` + action + `quiet_hours: {from: "22:00", to: "22:00:00", then: drop}|` + toE + ` => another time of day than from
name: a|` + action + `quiet_hours: {from: "25:00", to: "08:00"}|` + toE + ` => from
name: a|` + action + `quiet_hours: {from: "22:00", to: "08:00", days: []}|` + toE + ` => at least one day
name: a|` + action + `quiet_hours: {from: "22:00", to: "08:00", days: [monday]}|` + toE + ` => mon
name: a|` + action + `quiet_hours: {from: "22:00", to: "08:00", then: wait}|` + toE + ` => hold or drop
name: a|` + action + `quiet_hours: {from: "22:00", to: "08:00", untill: 1d}|` + toE + ` => untill
name: a|` + action + `priority: high|` + toE + ` => whole number
name: a|` + action + `priority: 1.5|` + toE + ` => whole number
name: a|` + action + `control_group: 10|` + toE + ` => 10%
name: a|` + action + `control_group: 101%|` + toE + ` => 0% to 100%
name: a|` + action + `control_group: -1%|` + toE + ` => 0% to 100%
name: a|` + action + `control_group: most|` + toE + ` => 10%
name: a|` + action + `goal: {within: 3d}|` + toE + ` => event
name: a|` + action + `goal: {event: B}|` + toE + ` => within
name: a|` + action + `goal: {event: B, within: 0s}|` + toE + ` => above zero
name: a|` + action + `goal: {event: B, within: 3d, at_least: 2}|` + toE + ` => at_least
name: a|` + action + `goal: {event: B, within: 3d, value: 'event.x +'}|` + toE + ` => value
name: a|` + action + `goal: {event: B, within: 3d, value: 'profile.x'}|` + toE + ` => profile
name: a|` + action + `goal: {event: B, within: 3d, where: 'profile.x'}|` + toE + ` => profile
name: a|` + action + `reentry: {max: 0, per: 1d}|` + toE + ` => at least 1
name: a|` + action + `backfill: always|` + toE + ` => true or false
`

// What the language refuses: | ends a line, and the message holds the words behind =>.
func TestRefused(t *testing.T) {
	for _, line := range strings.Split(strings.TrimSpace(refused), "\nname: ") {
		text, want, _ := strings.Cut("name: "+strings.TrimPrefix(line, "name: "), " => ")
		text = strings.ReplaceAll(text, "|", "\n")
		if got := problemsOf(t, text); !strings.Contains(got, want) || got == "" {
			t.Errorf("%s\nexpected a problem with %s, got %q", text, want, got)
		}
	}
}

// What the language takes, at its limits.
func TestAccepted(t *testing.T) {
	for _, body := range []string{
		"trigger: {single_action: {any: [" + tenOfA + "]}}",
		"trigger: {single_action: {event: A, occurrence: every}}",
		"trigger: {single_action: {event: A, occurrence: 12}}",
		all + "[" + tenOfA + "]}}",
		all + "[{event: A, at_least: 2}]}}",
		watching + "within: 1ms, on_repeat: separate}}",
		watching + "within: 1w1d1h1m1s1ms, same: [a, b]}}",
		didNot + "{every: 1d}}}", didNot + "{every: 24h}}}", didNot + "{every: 15m, at: \"00:10:30\"}}}",
		didNot + "{every: 7d, on: sun}}}", didNot + "{every: 1w, on: mon, at: \"23:59\"}}}", didNot + "{after: 6d23h}}}",
		dated + "at: \"09:00\"}}", dated + "at: \"09:00\", offset: -1h}}", dated + "offset: 1ms}}", dated + "property: d}}",
		dated + "property: d, offset: -1d12h, repeat: yearly, if_past: skip, occurrence: first, same: [k], alias: {k: l}}}",
		"trigger: {date_time_property: {profile_property: d, cancel: {event: B}, at: \"09:00:01\"}}",
		action + "stale_after: 0s", action + "schedule: {start: 2026-01-02T00:00:00Z, end: 2026-01-02T00:00:00.001Z}",
		action + "schedule: {end: 2026-01-02T00:00:00+05:30}", action + "schedule: {}", action + "reentry: {max: 1, per: 1ms}",
		action + "audience: 'profile.x'", action + "audience: 'event.x && since(\"B\") < duration(\"1d\")'",
		action + "enabled: false\ntags: [a, b]\ndescription: text",
	} {
		text := "name: a-1\n" + body + "\n" + toE
		if got := problemsOf(t, text); got != "" {
			t.Errorf("%s\nexpected no problem, got %s", text, got)
		}
	}
}
