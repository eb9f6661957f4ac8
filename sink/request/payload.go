package request

import (
	"bytes"

	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/processor/campaign/value"
)

// The bodies that are no template.
const (
	standard    = "standard"    // what Standard Webhooks recommends
	cleverTap   = "clevertap"   // as of CleverTap's webhooks, with a list of one profile
	cloudEvents = "cloudevents" // CloudEvents 1.0, JSON, structured mode

	ownBody = "body" // the template is; what has a template needs not say so
)

// Payloads are those that a campaign's delivery can name instead of a template.
var Payloads = []string{standard, cleverTap, cloudEvents}

const cloudEventsType = "application/cloudevents+json"

// payload is the body of a delivery without a template. raw is the trigger's record as it was read.
func (c *Content) payload(t *record.Trigger, raw []byte, group string) []byte {
	dst := make([]byte, 0, len(raw)+len(c.keyValues)+256)
	switch c.kind {
	case cleverTap:
		return c.appendCleverTap(dst, t)
	case cloudEvents:
		dst = value.AppendString(append(dst, `{"specversion":"1.0","id":`...), t.ID)
		dst = value.AppendString(append(dst, `,"source":`...), "/tripline/"+group)
		dst = value.AppendString(append(dst, `,"type":`...), "tripline."+t.Campaign)
		dst = value.AppendString(append(dst, `,"subject":`...), t.User)
		dst = calendar.AppendTime(append(dst, `,"time":"`...), t.Time)
		dst = append(dst, `","datacontenttype":"application/json","data":`...)
	default:
		dst = value.AppendString(append(dst, `{"type":`...), t.Campaign)
		dst = calendar.AppendTime(append(dst, `,"timestamp":"`...), t.Time)
		dst = append(dst, `","data":`...)
	}
	return append(c.appendTrigger(dst, raw), '}')
}

// appendTrigger appends the trigger with the campaign's key_values.
func (c *Content) appendTrigger(dst, raw []byte) []byte {
	raw = bytes.TrimSpace(raw)
	if c.keyValues == nil {
		return append(dst, raw...)
	}
	dst = append(dst, raw[:len(raw)-1]...) // a trigger is an object, and not an empty one
	return append(append(append(dst, `,"key_values":`...), c.keyValues...), '}')
}

const cleverTapTail = "]}"

// appendCleverTapHead appends what is the same for all deliveries of a campaign.
func (c *Content) appendCleverTapHead(dst []byte, campaign string) []byte {
	dst = value.AppendString(append(dst, `{"targetId":`...), campaign)
	dst = append(dst, `,"key_values":`...)
	if c.keyValues == nil {
		dst = append(dst, "{}"...)
	}
	return append(append(dst, c.keyValues...), `,"profiles":[`...)
}

func (c *Content) appendCleverTap(dst []byte, t *record.Trigger) []byte {
	dst = c.appendCleverTapHead(dst, t.Campaign)
	dst = value.AppendString(append(dst, `{"identity":`...), t.User)
	dst = t.Profile.Append(append(dst, `,"profileData":`...))
	dst = append(dst, `,"event_properties":`...)
	var last value.Properties
	if n := len(t.Events); n > 0 {
		last = t.Events[n-1].Properties
	}
	return append(append(last.Append(dst), '}'), cleverTapTail...)
}
