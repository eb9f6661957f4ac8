package expr

import (
	"strings"
	"testing"
	"time"

	"github.com/tripline/tripline/processor/campaign/value"
)

func parsedObject(t testing.TB, json string) value.Properties {
	t.Helper()
	p, err := value.ParseObject([]byte(json))
	if err != nil {
		t.Fatalf("%s: %v", json, err)
	}
	return p
}

// moment is 2026-11-24T10:44:00Z, a Tuesday.
var moment = time.Date(2026, 11, 24, 10, 44, 0, 0, time.UTC).UnixMilli()

// shop is what the tables judge against: an event, a profile, and a history in which Charged happened three times.
func shop(t testing.TB) *Env {
	return &Env{
		Event: parsedObject(t, `{"amount":129.95,"qty":3,"whole":3.0,"currency":"CAD","paid":true,"five":"5","none":null,"tags":["new","sale"],
			"items":[{"sku":"A-1","price":100,"n":1},{"sku":"B-2","price":29.95,"n":2}],"address":{"city":"Ottawa","geo":{"lat":45.4}},
			"id":12345678901234567,"same_id":12345678901234567.0,"other_id":12345678901234568,"huge":1e400,"mixed":[1,"1",null,true],
			"at":"2026-11-24T10:00:00Z","empty":[],"Requested Product":"Socks","time":"never"}`),
		HasEvent: true,
		Profile:  parsedObject(t, `{"country":"CA","age":41,"vip":false,"visits":0}`),
		User:     "u-17",
		Now:      moment,
		Look: func(l *Lookup) Answer {
			if l.Event != "Charged" {
				return Answer{}
			}
			charged := parsedObject(t, `{"amount":80,"currency":"USD","time":"never"}`)
			switch l.Function {
			case Count:
				return Answer{Number: 3, OK: true}
			case First, Last:
				return Answer{OK: true, Event: charged, Time: moment - 2*24*3600_000}
			case Since:
				return Answer{Number: 2 * 24 * 3600_000, OK: true}
			}
			return Answer{Number: 80, OK: true}
		},
	}
}

// judge judges each line of a table as an audience: want is true or false, or with a "!" the failure it contains.
func judge(t *testing.T, want string, lines string) {
	t.Helper()
	env := shop(t)
	for line := range strings.Lines(lines) {
		text := strings.TrimSpace(line)
		if text == "" {
			continue
		}
		p, wrong := Compile(text, Audience)
		if wrong != nil {
			t.Errorf("%s: %v", text, wrong)
			continue
		}
		got, err := p.True(env)
		failure, fails := strings.CutPrefix(want, "!")
		switch {
		case fails && (err == nil || got || !strings.Contains(err.Error(), failure)):
			t.Errorf("%s: %v, %v; expected a failure with %q", text, got, err, failure)
		case !fails && (err != nil || got != (want == "true")):
			t.Errorf("%s: %v, %v; expected %s", text, got, err, want)
		}
	}
}

func TestMissingIsNil(t *testing.T) {
	judge(t, "true", `
		event.coupon == nil
		event.none == nil
		nil == event.coupon
		event.amount != nil
		event.coupon != 5
		event.coupon != "x"
		event.coupon not in ["x", "y"]
		event.coupon not in event.tags
		event.coupon not in event.nothing
		"x" not in event.nothing
		"coupon" not in event
		"none" in event
		event.coupon not contains "x"
		event.coupon not matches "x"
		event.a.b.c == nil
		event?.a?.b.c == nil
		event.a["b"][0] == nil
		event.a[1:2] == nil
		event["a"]?.b == nil
		event.tags[event.none] == nil
		event.coupon + 1 == nil
		1 - event.coupon == nil
		-event.coupon == nil
		event.coupon * 2 / 3 == nil
		event.coupon % 2 == nil
		event.coupon ** 2 == nil
		event.coupon + "x" == nil
		now() - event.coupon == nil
		(event.coupon .. 3) == nil
		len(event.coupon) == nil
		upper(event.coupon) == nil
		split(event.coupon, ",") == nil
		split("a,b", event.coupon) == nil
		int(event.coupon) == nil
		date(event.coupon) == nil
		duration(event.coupon) == nil
		timezone(event.coupon) == nil
		now(timezone(event.coupon)) == nil
		keys(event.coupon) == nil
		take(event.tags, event.coupon) == nil
		filter(event.coupon, # > 1) == nil
		event.coupon.Year() == nil
		date("2026-01-01").In(timezone(event.coupon)) == nil
		(event.coupon ?? 5) == 5
		!event.coupon
		not event.coupon
		event.coupon || true
		event.coupon ? false : true
		type(event.coupon) == "nil"
		get(event.tags, 9) == nil
		get(event.coupon, "x") == nil
		event.gone == event.lost
		nil == nil
		nil in event.mixed`)
	judge(t, "false", `
		event.coupon == 5
		event.coupon == "x"
		event.coupon == false
		event.coupon < 5
		event.coupon > 5
		event.coupon <= 5
		event.coupon >= 5
		5 < event.coupon
		event.coupon < event.none
		event.coupon <= event.none
		event.coupon in ["x", "y"]
		event.coupon in event.tags
		"x" in event.coupon
		event.coupon in event
		event.coupon in 1..5
		2 in event.coupon..5
		event.coupon contains "x"
		"x" contains event.coupon
		event.coupon startsWith "x"
		event.coupon endsWith "x"
		event.coupon matches "x"
		"x" matches event.coupon
		event.coupon && true
		event.coupon
		event.coupon || event.none
		all(event.coupon, true)
		any(event.coupon, true)
		none(event.coupon, true)
		event.coupon != nil
		event.gone != event.lost
		hasPrefix(event.coupon, "x")`)
}

func TestUnlikeTypes(t *testing.T) {
	judge(t, "true", `
		event.five != 5
		event.qty != "3"
		event.paid != 1
		event.tags != "new"
		event.address != event.tags
		event.qty not in ["3", "4"]
		event.amount not contains "1"
		event.amount not matches "1"
		!event.qty
		event.qty || event.paid
		event.qty ? false : true
		"x" not in event.currency
		5 not in event.address
		all(event.tags, # != 1)
		none(event.tags, #)`)
	judge(t, "false", `
		event.five == 5
		event.five > 4
		event.five < 6
		event.qty == "3"
		event.qty < "4"
		event.paid == 1
		event.tags < event.tags
		event.currency > 1
		event.amount contains "1"
		event.tags contains "new"
		event.amount startsWith "1"
		event.amount matches "1"
		"C" in event.currency
		5 in event.address
		event.qty in ["3", "4"]
		event.qty && true
		event.currency
		event.amount
		event.items
		any(event.tags, #)
		event.five in 1..9
		event.at > now()
		since("Charged") == event.qty`)
}

func TestNumbers(t *testing.T) {
	judge(t, "true", `
		event.qty == 3
		event.qty == 3.0
		event.whole == 3
		event.whole == event.qty
		event.whole in [1, 2, 3]
		event.qty in [3.0]
		event.whole in 1..3
		event.qty in event.whole..4
		2.5 not in 1..3
		event.qty % 2 == 1
		event.whole % 2 == 1
		event.qty / 2 == 1.5
		7 / 2 == 3.5
		2 ** 3 == 8
		event.amount > 129.9
		event.amount + 0.05 == 130
		string(event.whole) == "3"
		event.tags[event.whole - 3] == "new"
		{"a": 1} == {"a": 1.0}
		[1, 2] == [1.0, 2]
		event.id == 12345678901234567
		event.id == event.same_id
		event.id != event.other_id
		event.id != 12345678901234568
		event.id in [1, 12345678901234567]
		12345678901234567 == event.id
		string(event.id) == "12345678901234567"
		int(event.id) == 12345678901234567
		float(event.id) > 1e16
		event.id + 1 == nil
		-event.id == nil
		abs(event.id) == nil
		event.huge != 1
		float(event.qty) == 3
		int(3.9) == 3
		9223372036854775807 + 1 > 0
		4611686018427387904 * 4 > 0
		9007199254740993 != 9007199254740992
		round(2.5) == 3 and floor(-1.5) == -2
		bitand(event.qty, 1) == 1`)
	judge(t, "false", `
		event.id == 12345678901234568
		event.id == event.other_id
		event.id > 5
		event.id < 5
		event.id < 12345678901234568
		event.id >= event.id
		event.huge > 1
		event.huge == nil
		event.id == "12345678901234567"
		event.whole == "3"
		0 / 0 == 0 / 0
		0 / 0 < 1 or 0 / 0 > 1
		event.id in 1..9`)
}

func TestHistory(t *testing.T) {
	judge(t, "true", `
		count("Charged", "90d") == 3
		count("Charged", "90d") % 2 == 1
		count("Charged", "90d", 'event.amount > 50') == 3
		count("Other", "90d") == 0
		sum("Charged", "amount", "90d") == 80
		sum("Other", "amount", "90d") == 0
		avg("Charged", "amount", "1d12h") == 80
		avg("Other", "amount", "90d") == nil
		(min("Other", "amount", "90d") ?? 7) == 7
		max("Charged", "amount", "90d") > 79
		last("Charged").amount == 80
		last("Charged")["currency"] == "USD"
		last("Charged").time < now()
		last("Charged").time == now() - duration("2d")
		last("Other") == nil
		last("Other").amount == nil
		last("Other").time == nil
		first("Charged") != nil
		"amount" in last("Charged")
		"time" in last("Charged")
		len(last("Charged")) == 3
		last("Charged").time.Year() == 2026
		get(last("Charged"), "amount") == 80
		(let l = last("Charged"); l.amount == 80 && l.time < now())
		since("Charged") == duration("2d")
		since("Charged") > duration("1d12h")
		since("Other") == nil
		!(since("Other") > duration("3d"))
		since("Charged").Hours() == 48
		"Charged" | count("90d") == 3
		1 < count("Charged", "90d") < 5
		profile.country == "CA" && count("Charged", "90d") > 0
		user_id == "u-17"
		event.time == "never"`)
	judge(t, "false", `
		since("Other") < duration("3d")
		since("Other") > duration("3d")
		avg("Other", "amount", "90d") < 5
		avg("Other", "amount", "90d") > 5
		last("Other").amount > 0`)
	for _, text := range []string{`count("A", "1d") == 0 && sum("A", "x", "1d") == 0 && last("A") == nil && since("A") == nil && min("A", "x", "1d") == nil`} {
		p, wrong := Compile(text, Audience)
		if wrong != nil {
			t.Fatal(wrong)
		}
		if ok, err := p.True(&Env{}); !ok || err != nil {
			t.Errorf("%s without a history: %v, %v", text, ok, err)
		}
	}
}

func TestWithoutEvent(t *testing.T) {
	env := shop(t)
	env.HasEvent = false
	for text, want := range map[string]bool{
		`event == nil`: true, `event.qty == nil`: true, `event.qty == 3`: false, `event.qty != 3`: true, `(event ?? 5) == 5`: true,
		`"qty" in event`: false, `len(event) == nil`: true, `event.a.b == 1`: false, `profile.age == 41`: true,
	} {
		p, wrong := Compile(text, Audience)
		if wrong != nil {
			t.Errorf("%s: %v", text, wrong)
			continue
		}
		if got, err := p.True(env); got != want || err != nil {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}

func TestFunctions(t *testing.T) {
	judge(t, "true", `
		any(event.items, .price > 50)
		all(event.items, #.n < 3)
		one(event.items, .sku == "B-2")
		find(event.items, .n == 2).sku == "B-2"
		"B-2" == findLast(event.items, true).sku
		1 == findLastIndex(event.items, .n > 0)
		findLast([5, 6, 7], # < 7) == 6
		findLastIndex([5, 6], # > 9) == nil
		findIndex(event.items, .sku == "B-2") == 1
		len(filter(event.items, .n > 1)) == 1
		event.items | filter(.n > 1) | map(.sku) | join(",") == "B-2"
		map(event.tags, #index) == [0, 1]
		reduce(event.items, #acc + .price * .n, 0) == 159.9
		reduce(1..4, #acc * #) == 24
		::sum(event.items, .n) == 3
		::sum([1, 2]) == 3
		::count(event.items, .n > 1) == 1
		::count([true, false, true]) == 2
		::max(1, event.qty, 2) == 3
		::min([4, 2]) == 2
		::first(event.tags) == "new"
		::last(event.tags) == "sale"
		::last(event.empty) == nil
		sortBy(event.items, .price)[0].sku == "B-2"
		sortBy(event.items, .price, "desc")[0].sku == "A-1"
		groupBy(event.items, .n)[2][0].sku == "B-2"
		len(groupBy(event.items, .n)[7]) == 0
		keys({b: 1, a: 2}) == ["b", "a"]
		keys(event.address) == ["city", "geo"]
		values({b: 1, a: 2}) == [1, 2]
		toPairs({a: 1}) == [["a", 1]]
		fromPairs([["a", 1]]).a == 1
		uniq(event.mixed) == event.mixed
		uniq([1, 1.0, "1", nil, nil]) == [1, "1", nil]
		flatten([1, [2, [3]]]) == [1, 2, 3]
		concat(event.tags, [1]) == ["new", "sale", 1]
		reverse(event.tags) == ["sale", "new"]
		event.tags[-1] == "sale"
		event.tags[0:1] == ["new"]
		event.currency[0:2] == "CA"
		event["Requested Product"] == "Socks"
		event.address.geo.lat > 45
		"city" in event.address
		"new" in event.tags
		fromJSON('{"a":[1,2]}').a[1] == 2
		toJSON(event.address) contains "Ottawa"
		lower(event.currency) == "cad"
		event.currency matches "^C.D$"
		event.currency matches ("^C" + ".D$")
		event.currency matches event.currency
		mean([1, 2, 3]) == 2 and median([3, 1, 2]) == 2
		repeat("ab", 2) == "abab"
		if event.paid { true } else { false }
		(let x = event.qty; let y = x + 1; y == 4)
		(event.missing; true)
		type(event.qty) == "int" and type(event.amount) == "float" and type(now()) == "time.Time" and type(event.items) == "array"
		len("ä€") == 2
		(event?.address)?.city == "Ottawa"
		"a" + "b" == "ab"`)
}

func TestTimes(t *testing.T) {
	judge(t, "true", `
		now().Year() == 2026 and now().Hour() == 10
		int(now().Weekday()) == 2
		now().Weekday().String() == "Tuesday"
		string(now().Month()) == "November"
		now(timezone("Asia/Tokyo")).Hour() == 19
		now().In(timezone("America/Toronto")).Hour() == 5
		date("2026-11-24") < now()
		date("2026-11-24").Hour() == 0
		date("2026-11-24 12:00:00", "2006-01-02 15:04:05", "America/Toronto") == date("2026-11-24T17:00:00Z")
		date(timezone("America/Toronto"), "2026-11-24").UTC().Hour() == 5
		date(event.at) < now()
		now() - date(event.at) == duration("44m")
		now() + duration("1w") > now() + duration("6d23h")
		duration("1d12h") == duration("36h")
		duration("-3d") < duration("0s")
		duration("1h") * 2 == duration("2h")
		1.5 * duration("1h") == duration("90m")
		now().Format("2006-01-02") == "2026-11-24"
		now().Unix() == 1795517040
		now().Add(duration("1h")).Sub(now()) == duration("1h")
		now().After(date("2026-01-01"))
		date("2026-11-24T10:44:00+02:00").String() contains "+0200"
		now().AddDate(0, 0, 1) - now() == duration("1d")`)
}

// The machine's own zone must have no part in a decision.
func TestZoneOfTheMachine(t *testing.T) {
	before := time.Local
	defer func() { time.Local = before }()
	time.Local = time.FixedZone("EST", -5*3600)
	judge(t, "true", `
		date("Tue, 24 Nov 2026 10:44:00 EST").Hour() == 10
		date("24 Nov 26 10:44 EST") == now()
		date("2026-11-24T10:44:00-05:00").Location().String() == ""
		now().Hour() == 10
		string(now()) contains "UTC"`)
}
