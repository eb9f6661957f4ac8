package policy

// Failing is the clock of an endpoint without a success, as one process of a group sees it: by its own attempts, and by what others
// have told. The zero Failing has seen nothing. Moments are ms since the epoch.
type Failing struct {
	since   int64 // of the first failure without a success after it; 0: there is none
	warned  int   // percent
	success int64 // the newest of this process
	told    Told  // what this process has told, or been told
	said    Told  // what the control topic has said
}

// Told is what the processes of a group tell one another.
type Told struct {
	Since  int64 // 0: there was a success
	Warned int   // percent of `disable_after` that was warned of
}

// warnings are the shares of `disable_after`, in percent, at which there is a warning.
var warnings = [...]int{90, 70, 50}

// untold is how long an endpoint may fail, in ms, before it is told: most that fail are back soon.
const untold = 60_000

// Tally is what an attempt comes to.
type Tally struct {
	Tell    bool // others have to know
	Told    Told
	Warn    int     // percent: there is to be a warning; 0: none
	Disable bool    // the endpoint has failed for long enough
	Share   float64 // of `disable_after` that has passed
}

// End notes how an attempt ended. after is `disable_after`.
func (f *Failing) End(after int64, success bool, now int64) (t Tally) {
	if success {
		f.success, f.since, f.warned = now, 0, 0
		return f.tell(f.told.Since != 0)
	}
	if f.since == 0 {
		f.since = now
	}
	passed, warn := now-f.since, 0
	for _, percent := range warnings {
		if percent > f.warned && passed*100 >= int64(percent)*after && passed < after {
			f.warned, warn = percent, percent
			break
		}
	}
	t = f.tell(warn > 0 || f.told.Since == 0 && passed >= min(untold, after/20))
	t.Warn, t.Disable, t.Share = warn, passed >= after, min(1, float64(passed)/float64(after))
	return t
}

func (f *Failing) tell(is bool) Tally {
	if is {
		f.told = Told{f.since, f.warned}
	}
	return Tally{Tell: is, Told: f.told}
}

// Hear takes what the control topic says as of a moment. again says that this process knows better and has to tell so.
func (f *Failing) Hear(t Told, at int64) (again bool) {
	f.said = t
	switch {
	case t.Since == 0 && f.since <= at:
		f.since, f.warned, f.told = 0, 0, t
	case t.Since == 0:
		f.told = t
	case f.success >= t.Since:
		f.told = Told{f.since, f.warned}
		return true
	default:
		if f.since == 0 || t.Since < f.since {
			f.since = t.Since
		}
		f.warned = max(f.warned, t.Warned)
		f.told = t
	}
	return false
}

// Unsaid is what this process has told and the control topic does not say: the transaction was aborted, or is under way.
func (f *Failing) Unsaid() (t Told, is bool) { return f.told, f.told != f.said }
