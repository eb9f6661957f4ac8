package expr

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"
	"time"

	exprlang "github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"

	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/value"
)

// comparison counts what the differential test has compared.
type comparison struct{ values, truths int }

// run compares one random expression in several random environments: wherever expr-lang's own virtual machine gives a
// value, ours must give the same. Where it fails, ours may have a value (the nil rules are tested by table) and only
// must not panic.
func (c *comparison) run(t *testing.T, seed int64, environments int) {
	t.Helper()
	r := rand.New(rand.NewSource(seed))
	text := (&writer{Rand: r}).boolean(1 + r.Intn(4))
	env := new(Env)
	theirs, refused := virtualMachine(text, env)
	ours, wrong := Compile(text, Audience)
	switch {
	case refused != nil, wrong != nil && strings.HasPrefix(wrong.Message, "always fails"):
		return
	case wrong != nil:
		t.Fatalf("seed %d: %s\nexpr-lang compiles it, we say %v", seed, text, wrong)
	}
	for range environments {
		*env = randomEnv(t, r)
		want, err := exprlang.Run(theirs, given(env))
		got, failed := ours.True(env)
		if err != nil {
			continue
		}
		truth, _ := want.(bool)
		if c.values++; truth {
			c.truths++
		}
		if failed != nil || got != truth {
			t.Fatalf("seed %d: %s\nevent %s\nprofile %s\nexpr-lang: %v\nours: %v %v", seed, text, env.Event.Append(nil), env.Profile.Append(nil),
				want, got, failed)
		}
	}
}

func TestEqualToVirtualMachine(t *testing.T) {
	const expressions = 3_000
	var c comparison
	for seed := range int64(expressions) {
		c.run(t, seed, 4)
	}
	t.Logf("%d expressions, %d values compared, %d of them true", expressions, c.values, c.truths)
	if c.values < expressions || c.truths < c.values/10 || c.truths > c.values*9/10 {
		t.Errorf("the generator says too little: %d values, %d true", c.values, c.truths)
	}
}

// virtualMachine is expr-lang as campaigns see it, but with its own rules for nil. The program asks env about the
// history.
func virtualMachine(text string, env *Env) (*vm.Program, error) {
	ask := func(f Function) func(...any) (any, error) {
		return func(args ...any) (any, error) { return asked(env, &Lookup{Function: f, Event: args[0].(string)}), nil }
	}
	return exprlang.Compile(text,
		exprlang.Env(types.Map{"event": properties, "profile": properties, "user_id": types.String}),
		exprlang.Function("count", ask(Count), new(func(string, string) int), new(func(string, string, string) int)),
		exprlang.Function("sum", ask(Sum), new(func(string, string, string) float64)),
		exprlang.Function("avg", ask(Avg), new(func(string, string, string) float64)),
		exprlang.Function("min", ask(Min), new(func(string, string, string) float64)),
		exprlang.Function("max", ask(Max), new(func(string, string, string) float64)),
		exprlang.Function("first", ask(First), new(func(string) map[string]any)),
		exprlang.Function("last", ask(Last), new(func(string) map[string]any)),
		exprlang.Function("since", ask(Since), new(func(string) time.Duration)),
		exprlang.Function("now", func(...any) (any, error) { return time.UnixMilli(env.Now).UTC(), nil }, new(func() time.Time)),
		exprlang.Function("duration", func(args ...any) (any, error) {
			ms, err := calendar.ParseDuration(args[0].(string))
			return time.Duration(ms) * time.Millisecond, err
		}, new(func(string) time.Duration)),
		exprlang.Patch(timed{}),
		exprlang.Optimize(false), // optimised, nil is in ["", "a"]
	)
}

// asked is what history says, as Go holds it.
func asked(env *Env, l *Lookup) any {
	a := env.Look(l)
	switch {
	case !a.OK && l.Function != Count && l.Function != Sum:
		return nil
	case l.Function == Count:
		return int(a.Number)
	case l.Function == Since:
		return time.Duration(a.Number) * time.Millisecond
	case l.Function == First || l.Function == Last:
		m := plainMap(a.Event)
		m["time"] = time.UnixMilli(a.Time).UTC()
		return m
	}
	return plainNumber(a.Number)
}

func given(env *Env) map[string]any {
	all := map[string]any{"event": nil, "profile": plainMap(env.Profile), "user_id": env.User}
	if env.HasEvent {
		all["event"] = plainMap(env.Event)
	}
	return all
}

// timed gives first and last the type that they have in campaigns, whose functions' types Go cannot say.
type timed struct{}

func (timed) Visit(n *ast.Node) {
	if call, ok := (*n).(*ast.CallNode); ok {
		if callee, ok := call.Callee.(*ast.IdentifierNode); ok && (callee.Value == "first" || callee.Value == "last") {
			call.SetNature(natures[First].Nature())
		}
	}
}

func plainMap(p value.Properties) map[string]any {
	m := make(map[string]any, len(p))
	for _, property := range p {
		m[property.Name] = plain(property.Value)
	}
	return m
}

func plainNumber(f float64) any {
	if f == float64(int(f)) {
		return int(f)
	}
	return f
}

// plain is a JSON value as Go programs hold it, whole numbers as int.
func plain(v value.Value) any {
	switch v.Kind() {
	case value.Bool:
		b, _ := v.Bool()
		return b
	case value.Number:
		f, _ := v.Float()
		return plainNumber(f)
	case value.String:
		return v.Text()
	case value.List:
		all := []any{}
		for _, e := range v.Elements() {
			all = append(all, plain(e))
		}
		return all
	case value.Object:
		return plainMap(v.Fields())
	}
	return nil
}

// randomEnv draws properties whose names tell their usual types: n and m numbers, s and t strings, b a boolean, l a list
// of numbers, g a list of strings, o an object, i a list of objects; z is missing or null, x anything.
func randomEnv(t *testing.T, r *rand.Rand) Env {
	draw := func() value.Properties {
		var b strings.Builder
		b.WriteString(`{"z":null`)
		for _, name := range []string{"n", "m", "s", "t", "b", "l", "g", "o", "i", "x"} {
			if r.Intn(20) > 0 {
				fmt.Fprintf(&b, `,%q:%s`, name, randomJSON(r, name))
			}
		}
		b.WriteString("}")
		p, err := value.ParseObject([]byte(b.String()))
		if err != nil {
			t.Fatalf("%s: %v", b.String(), err)
		}
		return p
	}
	env := Env{Event: draw(), HasEvent: r.Intn(20) > 0, Profile: draw(), User: "u-17", Now: 1764000000000 + r.Int63n(1e10)}
	found, kind, now := draw(), r.Intn(12), env.Now
	env.Look = func(l *Lookup) Answer {
		n := (kind + int(l.Function)*7 + len(l.Event)) % 12
		a := Answer{OK: n > 1 || l.Function <= Sum, Event: found, Time: now - int64(n)*1e7}
		switch l.Function {
		case Count:
			a.Number = float64(n)
		case Since:
			a.Number = float64(n) * 4e7
		default:
			a.Number = float64(n) / 2
		}
		return a
	}
	return env
}

func randomJSON(r *rand.Rand, name string) string {
	pick := func(of ...string) string { return of[r.Intn(len(of))] }
	number := func() string { return pick("0", "1", "2", "3", "-1", "10", "2.5", "1e1", "3.0", "-0.5", "100") }
	text := func() string {
		return pick(`""`, `"a"`, `"abc"`, `"CAD"`, `" b "`, `"3"`, `"ä€"`, `"2025-11-24"`, `"a,b"`)
	}
	switch name {
	case "n", "m":
		return number()
	case "s", "t":
		return text()
	case "b":
		return pick("true", "false")
	case "l":
		return pick("[]", "["+number()+","+number()+","+number()+"]", "["+number()+"]")
	case "g":
		return pick("[]", "["+text()+","+text()+"]", "["+text()+"]")
	case "o":
		return fmt.Sprintf(`{"n":%s,"s":%s,"l":[%s]}`, number(), text(), number())
	case "i":
		return pick("[]", fmt.Sprintf(`[{"n":%s,"s":%s},{"n":%s,"s":%s}]`, number(), text(), number(), text()))
	}
	return randomJSON(r, pick("n", "s", "b", "l", "g", "o", "i"))
}
