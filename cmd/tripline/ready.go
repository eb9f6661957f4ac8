package main

import (
	"github.com/tripline/tripline/processor"
	"github.com/tripline/tripline/state/lane"
)

// laneDetail is a lane, or a warm copy of one, as /readyz shows it.
type laneDetail struct {
	Lane     int32   `json:"lane"`
	Phase    string  `json:"phase"`
	Error    string  `json:"error,omitempty"`
	Restored int64   `json:"restored"` // records read from the changelog
	Bytes    int64   `json:"restored_bytes"`
	Left     int64   `json:"left"`                         // records still to read
	Rate     float64 `json:"records_per_second,omitempty"` // of the restore that goes on
	Estimate float64 `json:"estimate_seconds,omitempty"`   // until it is done
	Lag      *int64  `json:"lag_records,omitempty"`        // of a warm copy

	Campaigns  string `json:"campaigns_version,omitempty"` // of the set in force, which the changelog has
	Differ     bool   `json:"campaigns_differ,omitempty"`  // from those of this process's files
	Rebuilding bool   `json:"rebuilding,omitempty"`        // users, since a trigger changed
	Waits      string `json:"waits,omitempty"`             // for a schema of the registry, which does not answer
}

// readyDetail is what /readyz shows of a service.
type readyDetail struct {
	Campaigns string       `json:"campaigns_version"` // of the process's own files
	Differ    bool         `json:"campaigns_differ"`  // in some lane another set is in force
	Lanes     []laneDetail `json:"lanes"`
	Standbys  []laneDetail `json:"standbys"`
}

// laneHolder is a service that has lanes.
type laneHolder interface {
	Placed() bool
	Status() []lane.Status
	Standbys() []lane.StandbyStatus
}

// lanesReady says whether all lanes that a process has run. Before the group has given it a place it is not ready, though nothing
// is amiss. Warm copies are shown and do not count: nobody waits for them.
func lanesReady(of laneHolder, version string, sets map[int32]processor.LaneSet) (bool, any) {
	ready, detail := of.Placed(), readyDetail{Campaigns: version, Lanes: []laneDetail{}, Standbys: []laneDetail{}}
	for _, l := range of.Status() {
		ready = ready && l.Phase == "running"
		shown, set := detailOf(l.Lane, l.Phase, l.Err, l.Progress), sets[l.Lane]
		shown.Campaigns, shown.Differ, shown.Rebuilding, shown.Waits = set.Version, set.Differs, set.Rebuilding, set.Waits
		detail.Differ = detail.Differ || set.Differs
		detail.Lanes = append(detail.Lanes, shown)
	}
	for _, s := range of.Standbys() {
		shown := detailOf(s.Lane, s.Phase, s.Err, s.Progress)
		shown.Lag = &s.Lag
		detail.Standbys = append(detail.Standbys, shown)
	}
	return ready, detail
}

func detailOf(number int32, phase string, err error, p lane.Progress) laneDetail {
	d := laneDetail{Lane: number, Phase: phase, Restored: p.Records, Bytes: p.Bytes, Left: p.Left, Rate: p.Rate, Estimate: p.Estimate.Seconds()}
	if err != nil {
		d.Error = err.Error()
	}
	return d
}
