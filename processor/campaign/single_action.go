package campaign

import (
	"fmt"

	"github.com/tripline/tripline/processor/campaign/history"
)

// singleAction qualifies at each matching event, at the first, or at the n-th.
type singleAction struct {
	any        []pattern
	occurrence int64 // 0: every
}

func (c *compiler) singleAction(d *SingleAction) kind {
	const path = "trigger.single_action"
	k := &singleAction{occurrence: int64(d.Occurrence)}
	if len(d.Any) == 0 {
		k.any = []pattern{c.pattern(path, &d.Pattern, nil, false)}
		return k
	}
	if d.Event != "" || d.Where != "" {
		c.problem(path+".any", "stands in place of event and where, not beside them")
	}
	if d.AtLeast != nil {
		c.problem(path+".at_least", "belongs to actions and inaction; it has no meaning here")
	}
	if len(d.Alias) > 0 {
		c.problem(path+".alias", "belongs to kinds that have same; it has no meaning here")
	}
	if len(d.Any) < 2 || len(d.Any) > 10 {
		c.problem(path+".any", "expected 2 to 10 event patterns")
	}
	for i := range d.Any {
		k.any = append(k.any, c.pattern(fmt.Sprintf("%s.any[%d]", path, i), &d.Any[i], nil, false))
	}
	return k
}

func (k *singleAction) names() []string { return namesOf(k.any) }

func (k *singleAction) shown() []string { return nil }

func namesOf(patterns []pattern) []string {
	var names []string
	for i := range patterns {
		names = append(names, patterns[i].event)
	}
	return names
}

func (k *singleAction) event(s *step, st *standing, e *history.Event) {
	for i := range k.any {
		if _, ok := k.any[i].match(s, st.c, e); !ok {
			continue
		}
		if k.occurrence > 0 {
			if st.count >= k.occurrence {
				return
			}
			st.count++
			s.user.dirty = true
			if st.count < k.occurrence {
				return
			}
		}
		s.qualify(st, qualification{moment: e.Time, left: s.arrival, events: s.only(e)})
		return
	}
}

func (k *singleAction) fire(*step, *standing, *timer) {}
