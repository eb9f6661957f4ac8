package row

import (
	"encoding/binary"
	"fmt"

	"github.com/tripline/tripline/processor/campaign/history"
)

// Upgraded is a head as this version writes it, of one of this version or the one before. It fails on any other.
func Upgraded(head []byte) ([]byte, error) {
	u := upgrade{Reader: Reader{Rest: head}}
	switch v := u.Byte(); v {
	case Version:
		return head, nil
	case Version - 1:
	default:
		return nil, fmt.Errorf("row format %d is not known to this version", v)
	}
	u.Wide, u.dst = true, append(make([]byte, 0, len(head)+16), Version)
	u.number()
	u.text() // the profile
	if u.Err == nil {
		var log history.Log
		rest, err := log.Decode(u.Rest, nil)
		if err != nil {
			return nil, err
		}
		u.dst = append(u.dst, u.Rest[:len(u.Rest)-len(rest)]...)
		u.Rest = rest
		past := u.Signed()
		u.Now, u.dst = log.Newest()+past, binary.AppendVarint(u.dst, past)
	}
	u.lists()
	for n := u.count(); n > 0 && u.Err == nil; n-- {
		u.name()
		u.dst = binary.BigEndian.AppendUint32(u.dst, uint32(u.Fixed()))
		u.standing()
	}
	if u.Err == nil && len(u.Rest) > 0 {
		u.Fail()
	}
	return u.dst, u.Err
}

// upgrade reads a head of the version before and writes one of this.
type upgrade struct {
	Reader
	dst []byte
}

func (u *upgrade) number() { u.dst = binary.AppendUvarint(u.dst, u.Unsigned()) }

func (u *upgrade) signed() { u.dst = binary.AppendVarint(u.dst, u.Signed()) }

func (u *upgrade) byte() { u.dst = append(u.dst, u.Byte()) }

func (u *upgrade) text() { u.dst = AppendText(u.dst, u.Text()) }

func (u *upgrade) name() { u.dst = u.AppendName(u.dst, u.Fixed()) }

func (u *upgrade) moment() { u.dst = u.AppendMoment(u.dst, u.Signed()) }

func (u *upgrade) place() { u.dst = u.AppendPlace(u.dst, u.Position()) }

func (u *upgrade) count() int {
	n := u.Count()
	u.dst = binary.AppendUvarint(u.dst, uint64(n))
	return n
}

// list turns a list's entries, and sets a flag if there are some.
func (u *upgrade) list(flags *uint64, flag uint64, entry func()) {
	n := u.Count()
	if n == 0 {
		return
	}
	*flags |= flag
	u.dst = binary.AppendUvarint(u.dst, uint64(n))
	for ; n > 0 && u.Err == nil; n-- {
		entry()
	}
}

// flagged has flags stand before what write writes and sets them for.
func (u *upgrade) flagged(flags uint64, write func(flags *uint64)) {
	before := u.dst
	u.dst = nil
	write(&flags)
	u.dst = append(binary.AppendUvarint(before, flags), u.dst...)
}

func (u *upgrade) event() {
	u.signed()
	u.number()
	u.text()
	u.text()
	u.text() // properties, behind their length
}

func (u *upgrade) lists() {
	u.flagged(Wide, func(flags *uint64) {
		u.list(flags, HasUnseen, func() { u.number(); u.number() })
		u.list(flags, HasEver, func() {
			u.event()
			if u.byte(); u.dst[len(u.dst)-1] == 1 {
				u.event()
			}
		})
		u.list(flags, HasZones, func() { u.moment(); u.text() })
		u.list(flags, HasSent, func() { u.moment(); u.name() })
	})
}

func (u *upgrade) standing() {
	count, newest := u.Signed(), u.Position()
	var lists [7][]byte
	flags := [7]uint64{HasOpen, HasFloors, HasMarks, HasLeft, HasHeld, HasGoals, HasJudged}
	entries := [7]func(){u.timer, func() { u.text(); u.place() }, func() { u.moment(); u.place() }, u.moment, u.held,
		func() { u.moment(); u.text(); u.byte() }, func() { u.moment(); u.number() }}
	before, all := u.dst, uint64(0)
	for i, entry := range entries {
		u.dst = nil
		u.list(&all, flags[i], entry)
		lists[i] = u.dst
	}
	if count != 0 {
		all |= HasCount
	}
	if newest != (history.Position{}) {
		all |= HasNewest
	}
	u.dst = append(binary.AppendUvarint(before, all), lists[0]...)
	if all&HasNewest > 0 {
		u.dst = u.AppendPlace(u.dst, newest)
	}
	u.dst = append(append(u.dst, lists[1]...), lists[2]...)
	if all&HasCount > 0 {
		u.dst = binary.AppendVarint(u.dst, count)
	}
	for _, list := range lists[3:] {
		u.dst = append(u.dst, list...)
	}
}

func (u *upgrade) timer() {
	flags, moment, late, year, key := u.Byte()&(TimerNext|TimerPassed|TimerEvent|TimerAt), u.Signed(), u.Signed(), u.Unsigned(), u.Text()
	for flag, set := range map[byte]bool{TimerLate: late != 0, TimerYear: year > 0, TimerKey: key != ""} {
		if set {
			flags |= flag
		}
	}
	u.dst = u.AppendMoment(append(u.dst, flags), moment)
	if late != 0 {
		u.dst = binary.AppendVarint(u.dst, late)
	}
	if year > 0 {
		u.dst = binary.AppendUvarint(u.dst, year)
	}
	if key != "" {
		u.dst = AppendText(u.dst, key)
	}
	switch {
	case flags&TimerEvent > 0:
		u.event()
	case flags&TimerAt > 0:
		u.dst = u.AppendPlace(u.dst, history.Position{Time: moment - u.Signed(), Seq: u.Unsigned()})
	}
}

func (u *upgrade) held() {
	u.moment()
	u.signed() // due, behind the moment
	u.place()
	u.text()
	for n := u.count(); n > 0 && u.Err == nil; n-- {
		u.event()
	}
}
