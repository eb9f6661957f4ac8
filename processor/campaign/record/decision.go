package record

import (
	"strings"

	"github.com/tripline/tripline/processor/campaign/value"
)

// Decision is a qualification that did not trigger and why, or a conversion.
type Decision struct {
	ID, Campaign, Version, User string

	Time     int64 // ms: the qualification's moment; of a conversion the event's time
	Left     int64 // ms: when it was decided; not part of the record
	Decision string
	Reason   string // of one that is suppressed
	Detail   string

	TriggerID string      // of a conversion
	Group     string      // of a conversion: treated or control
	Value     value.Value // of a conversion
}

// maxDetail is how much is kept of a detail where a decision is too large.
const maxDetail = 1 << 10

// Append writes the record's value. Of one that is larger than MaxBytes it leaves out the value, and cuts the detail.
func (d *Decision) Append(dst []byte) []byte {
	start := len(dst)
	dst = d.appendWhole(dst)
	if len(dst)-start <= MaxBytes {
		return dst
	}
	w := *d
	w.Value = value.Value{}
	w.Detail = strings.ToValidUTF8(w.Detail[:min(len(w.Detail), maxDetail)], "")
	return w.appendWhole(dst[:start])
}

func (d *Decision) appendWhole(dst []byte) []byte {
	dst = append(dst, '{')
	dst = appendText(dst, "id", d.ID)
	dst = appendText(dst, "campaign", d.Campaign)
	dst = appendText(dst, "version", d.Version)
	dst = appendText(dst, "user_id", d.User)
	dst = appendTime(dst, "time", d.Time)
	dst = appendText(dst, "decision", d.Decision)
	dst = appendText(dst, "reason", d.Reason)
	dst = appendText(dst, "detail", d.Detail)
	dst = appendText(dst, "trigger_id", d.TriggerID)
	if !d.Value.IsNil() {
		dst = d.Value.Append(appendName(dst, "value"))
	}
	dst = appendText(dst, "group", d.Group)
	return append(dst, '}')
}

// ParseDecision reads what Append writes. A decision without id, campaign, user, time or decision is an error.
func ParseDecision(json []byte) (Decision, error) {
	var d Decision
	o, err := open(json)
	if err != nil {
		return Decision{}, err
	}
	for o.next() {
		switch o.name {
		case "id":
			d.ID = o.text()
		case "campaign":
			d.Campaign = o.text()
		case "version":
			d.Version = o.text()
		case "user_id":
			d.User = o.text()
		case "time":
			d.Time = o.time()
		case "decision":
			d.Decision = o.text()
		case "reason":
			d.Reason = o.text()
		case "detail":
			d.Detail = o.text()
		case "trigger_id":
			d.TriggerID = o.text()
		case "value":
			d.Value = o.Value()
		case "group":
			d.Group = o.text()
		default:
			o.Skip()
		}
	}
	if err := o.finish("id", "campaign", "user_id", "time", "decision"); err != nil {
		return Decision{}, err
	}
	return d, nil
}
