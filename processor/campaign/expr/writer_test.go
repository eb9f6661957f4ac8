package expr

import (
	"fmt"
	"math/rand"
	"strings"
)

// writer writes random expressions of a wanted type, which mostly pass the checker and mostly give a value.
//
// It leaves out where expr-lang v1.17.8 is wrong: findLast and findLastIndex corrupt its stack (its issue #950), and
// functions of one name from the history and from its table are taken for each other, and a # in the initial value of
// reduce, which its checker takes for the element around, is the first of the list. And where we mean to differ: whole
// numbers that leave 64 bits, 1 against 1.0 within maps, int of what has no 64 bits, and what && and || are beside a nil
// where more than their truth is asked for.
type writer struct {
	*rand.Rand
	numbers, strings []string // variables in sight
	inLoop           string   // what # is: "n", "s", "o" or ""
	names            int
}

func (w *writer) pick(of ...func() string) string { return of[w.Intn(len(of))]() }

func (w *writer) word(of ...string) string { return of[w.Intn(len(of))] }

func (w *writer) property(name string) string {
	if w.Intn(25) == 0 {
		name = w.word("x", "z", "missing")
	}
	return w.word("event.", "event.", "event.", "profile.", "event?.", `last("A")?.`, `first("B").`) + name
}

func (w *writer) boolean(depth int) string {
	if depth <= 0 {
		return w.pick(
			func() string { return w.word("true", "false") },
			func() string { return w.property("b") },
			func() string { return w.property("z") + w.word(" == nil", " != nil") },
		)
	}
	d := depth - 1
	return w.pick(
		func() string { return w.number(d) + w.order() + w.number(d) },
		func() string { return w.number(d) + w.order() + w.number(d) },
		func() string { return w.text(d) + w.order() + w.text(d) },
		func() string { return w.number(0) + " < " + w.number(0) + " <= " + w.number(d) },
		func() string { return w.anything(d) + w.word(" == ", " != ") + w.anything(d) },
		func() string { return w.property("n") + w.order() + w.word("1", "2.5", "-3", "0") },
		func() string { return w.property("s") + w.order() + w.word(`"a"`, `"CAD"`, `""`) },
		func() string { return w.number(d) + w.word(" in ", " not in ") + w.list("n", d) },
		func() string { return w.text(d) + w.word(" in ", " not in ") + w.list("s", d) },
		func() string { return w.text(d) + w.word(" in ", " not in ") + w.object(d) },
		func() string { return w.number(d) + " in " + w.number(0) + ".." + w.number(0) },
		func() string {
			return w.text(d) + w.word(" contains ", " startsWith ", " endsWith ", " not contains ") + w.text(d)
		},
		func() string {
			return w.text(d) + w.word(" matches ", " not matches ") + w.word(`"^a"`, `"[A-Z]+"`, `"b$"`, w.text(0))
		},
		func() string { return w.word("!", "not ") + "(" + w.boolean(d) + ")" },
		func() string {
			return "(" + w.boolean(d) + w.word(" && ", " and ", " || ", " or ") + w.boolean(d) + ")"
		},
		func() string { return "(" + w.boolean(d) + " ? " + w.boolean(d) + " : " + w.boolean(d) + ")" },
		func() string {
			return "(if " + w.boolean(d) + " { " + w.boolean(d) + " } else { " + w.boolean(d) + " })"
		},
		func() string { return w.over(w.word("all", "any", "none", "one"), d, w.boolean) },
		func() string { return w.over(w.word("all", "any", "none", "one"), d, w.boolean) },
		func() string { return "(" + w.property("b") + " ?? " + w.boolean(d) + ")" },
		func() string { return w.moment(d) + w.order() + w.moment(d) },
		func() string { return w.span(d) + w.order() + w.span(d) },
		func() string { return w.word("hasPrefix", "hasSuffix") + "(" + w.text(d) + ", " + w.text(d) + ")" },
		func() string { return w.letting(d, w.boolean) },
		func() string { return w.list("n", d) + w.word(" == ", " != ") + w.list("n", d) },
		func() string { return w.property("o") + w.word(" == ", " != ") + w.property("o") },
	)
}

func (w *writer) order() string { return w.word(" == ", " != ", " < ", " <= ", " > ", " >= ") }

func (w *writer) letting(d int, body func(int) string) string {
	w.names++
	name := fmt.Sprintf("v%d", w.names)
	if w.Intn(2) == 0 {
		bound := w.number(d)
		w.numbers = append(w.numbers, name)
		defer func() { w.numbers = w.numbers[:len(w.numbers)-1] }()
		return "(let " + name + " = " + bound + "; " + body(d) + ")"
	}
	bound := w.text(d)
	w.strings = append(w.strings, name)
	defer func() { w.strings = w.strings[:len(w.strings)-1] }()
	return "(let " + name + " = " + bound + "; " + body(d) + ")"
}

// over is a function with a predicate over some list.
func (w *writer) over(name string, d int, body func(int) string) string {
	of, outer := w.word("n", "s", "o"), w.inLoop
	list := w.list(of, d)
	w.inLoop = of
	predicate := body(d)
	w.inLoop = outer
	if w.Intn(3) == 0 {
		return list + " | " + name + "({" + predicate + "})"
	}
	return name + "(" + list + ", " + predicate + ")"
}

func (w *writer) number(depth int) string {
	if depth <= 0 {
		return w.pick(
			func() string { return w.word("0", "1", "2", "3", "10", "2.5", "0.5", "-1", "1e2", "0x10") },
			func() string { return w.property(w.word("n", "m")) },
			func() string { return w.property("o") + w.word(".n", "?.n", `["n"]`) },
			func() string { return w.one("n", w.numbers, "1") },
			func() string {
				return w.word(`count("A", "7d")`, `sum("A", "p", "1d")`, `avg("B", "p", "1d")`)
			},
		)
	}
	d := depth - 1
	return w.pick(
		func() string { return "(" + w.number(d) + w.word(" + ", " - ", " * ", " / ") + w.number(d) + ")" },
		func() string { return "(" + w.whole(d) + w.word(" % ", " + ", " ** ") + w.whole(d) + ")" },
		func() string { return "(-" + w.number(d) + ")" },
		func() string {
			return w.word("abs", "ceil", "floor", "round", "float") + "(" + w.number(d) + ")"
		},
		func() string { return "len(" + w.word(w.text(d), w.list("n", d), w.list("s", d), w.object(d)) + ")" },
		func() string { return "int(" + w.word(w.whole(d), `"12"`, `"3"`, w.text(0)) + ")" },
		func() string { return "(" + w.boolean(d) + " ? " + w.number(d) + " : " + w.number(d) + ")" },
		func() string { return "(" + w.property("n") + " ?? " + w.number(d) + ")" },
		func() string { return w.list("n", d) + "[" + w.word("0", "-1", "1", w.number(0)) + "]" },
		func() string { return w.word("mean", "median", "::min", "::max", "::sum") + "(" + w.list("n", d) + ")" },
		func() string { return "get(" + w.list("n", d) + ", " + w.whole(0) + ")" },
		func() string { return "get(" + w.object(d) + `, "n")` },
		func() string { return "::max(" + w.number(d) + ", " + w.number(d) + ")" },
		func() string { return w.over(w.word("findIndex", "::count"), d, w.boolean) },
		func() string { return w.over("::sum", d, w.number) },
		func() string {
			return "reduce(" + w.list("n", d) + ", " + w.word("#acc + #", "# - #acc", "#index + #acc") + ", " + w.word("0", "1.5", w.property("n")) + ")"
		},
		func() string { return "reduce(" + w.list("n", d) + ", #acc + #)" },
		func() string {
			return "find(" + w.list("n", d) + ", # " + w.order() + w.number(0) + ")"
		},
		func() string { return w.word("bitand", "bitor", "bitxor") + "(" + w.whole(d) + ", " + w.whole(d) + ")" },
		func() string {
			return w.moment(d) + w.word(".Year()", ".Hour()", ".Day()", ".YearDay()", ".Unix()", ".Minute()")
		},
		func() string { return "int(" + w.moment(d) + w.word(".Weekday()", ".Month()") + ")" },
		func() string { return w.span(d) + w.word(".Hours()", ".Minutes()", ".Seconds()") },
		func() string { return w.word("indexOf", "lastIndexOf") + "(" + w.text(d) + ", " + w.text(0) + ")" },
		func() string { return w.letting(d, w.number) },
	)
}

func (w *writer) whole(d int) string {
	return w.word("1", "2", "3", "7", w.property("n"), "len("+w.text(d)+")", `count("B", "1d")`)
}

// one is a variable of that type, or what # is in a loop over such, or else a constant.
func (w *writer) one(of string, variables []string, otherwise string) string {
	switch {
	case w.inLoop == of && w.Intn(2) == 0:
		return "#"
	case w.inLoop == "o" && w.Intn(2) == 0:
		return w.word(".", "#.", "#?.") + of
	case len(variables) > 0:
		return variables[w.Intn(len(variables))]
	}
	return otherwise
}

func (w *writer) text(depth int) string {
	if depth <= 0 {
		return w.pick(
			func() string { return w.word(`"a"`, `"abc"`, `'CAD'`, `""`, `" b "`, `"ä€"`, "`3`") },
			func() string { return w.property(w.word("s", "t")) },
			func() string { return w.property("o") + w.word(".s", "?.s", `["s"]`) },
			func() string { return w.one("s", w.strings, "user_id") },
		)
	}
	d := depth - 1
	return w.pick(
		func() string { return "(" + w.text(d) + " + " + w.text(d) + ")" },
		func() string {
			return w.word("upper", "lower", "trim", "trimPrefix", "toBase64") + "(" + w.text(d) + ")"
		},
		func() string { return w.text(d) + " | " + w.word("upper", "lower", "trim") + "()" },
		func() string {
			return w.word("trim", "trimPrefix", "trimSuffix") + "(" + w.text(d) + `, ` + w.text(0) + `)`
		},
		func() string { return "string(" + w.anything(d) + ")" },
		func() string { return "toJSON(" + w.anything(d) + ")" },
		func() string { return "type(" + w.anything(d) + ")" },
		func() string {
			return w.text(d) + "[" + w.word("", "1", "0", "-2") + ":" + w.word("", "1", "3", "-1") + "]"
		},
		func() string { return "join(" + w.list("s", d) + `, ` + w.text(0) + `)` },
		func() string { return "replace(" + w.text(d) + `, "a", ` + w.text(0) + `)` },
		func() string { return "repeat(" + w.text(d) + ", " + w.word("0", "1", "3") + ")" },
		func() string { return "(" + w.boolean(d) + " ? " + w.text(d) + " : " + w.text(d) + ")" },
		func() string { return "(" + w.property("s") + " ?? " + w.text(d) + ")" },
		func() string { return w.list("s", d) + "[" + w.word("0", "-1") + "]" },
		func() string { return w.over("find", d, w.boolean) },
		func() string { return w.moment(d) + w.word(`.Format("2006-01")`, ".Weekday().String()", ".String()") },
		func() string { return w.span(d) + ".String()" },
		func() string { return "get(" + w.list("s", d) + ", " + w.whole(0) + ")" },
		func() string { return w.letting(d, w.text) },
	)
}

// list is a list of n (numbers), s (strings) or o (objects).
func (w *writer) list(of string, depth int) string {
	element := w.number
	if of == "s" {
		element = w.text
	} else if of == "o" {
		element = w.object
	}
	d := depth - 1
	if depth <= 0 {
		if w.Intn(3) == 0 {
			return "[" + strings.Join([]string{element(0), element(0)}, ", ") + "]"
		}
		return w.property(map[string]string{"n": "l", "s": "g", "o": "i"}[of])
	}
	return w.pick(
		func() string { return "[" + strings.Join([]string{element(d), element(0), element(d)}, ", ") + "]" },
		func() string { return w.list(of, 0) },
		func() string { return w.over("map", d, element) },
		func() string { return "reverse(" + w.list(of, d) + ")" },
		func() string { return "take(" + w.list(of, d) + ", " + w.word("0", "1", "5") + ")" },
		func() string { return "concat(" + w.list(of, d) + ", " + w.list(of, d) + ")" },
		func() string { return "uniq(" + w.list(of, d) + ")" },
		func() string { return "flatten([" + w.list(of, d) + ", " + w.list(of, d) + "])" },
		func() string {
			return w.list(of, d) + "[" + w.word("", "1", "0", "-2") + ":" + w.word("", "1", "3", "-1") + "]"
		},
		func() string { return w.filtered(of, d) },
		func() string { return w.ofType(of, d) },
		func() string { return "(" + w.boolean(d) + " ? " + w.list(of, d) + " : " + w.list(of, d) + ")" },
	)
}

// filtered is a list made with a predicate that keeps the type.
func (w *writer) filtered(of string, d int) string {
	list, outer := w.list(of, d), w.inLoop
	w.inLoop = of
	defer func() { w.inLoop = outer }()
	switch w.Intn(3) {
	case 0:
		return "sortBy(" + list + ", " + w.number(d) + w.word("", `, "desc"`) + ")"
	case 1:
		return "groupBy(" + list + ", " + w.text(0) + `)["` + w.word("a", "abc", "no") + `"]`
	}
	return "filter(" + list + ", " + w.boolean(d) + ")"
}

func (w *writer) ofType(of string, d int) string {
	switch of {
	case "n":
		return w.word("1..3", "sort("+w.list("n", d)+w.word("", `, "desc"`)+")", "1.."+w.whole(0), "map("+w.list("s", d)+", len(#))", "map(1..4, #index * #)")
	case "s":
		return w.word("sort("+w.list("s", d)+")", "sort(keys("+w.object(d)+"))", `split(`+w.text(d)+`, ",")`, `splitAfter(`+w.text(d)+`, "a", 2)`)
	}
	return "[{n: " + w.number(d) + ", s: " + w.text(d) + "}]"
}

func (w *writer) object(depth int) string {
	if depth <= 0 {
		return w.word(w.property("o"), "event", "profile", `last("A")`, "{n: "+w.number(0)+", s: "+w.text(0)+"}", w.property("o"))
	}
	d := depth - 1
	return w.pick(
		func() string { return w.object(0) },
		func() string { return "{n: " + w.number(d) + ", s: " + w.text(d) + ", l: " + w.list("n", d) + "}" },
		func() string { return "fromPairs([[" + w.text(d) + ", " + w.number(d) + `], ["n", 1]])` },
		func() string { return w.list("o", d) + "[0]" },
	)
}

func (w *writer) moment(depth int) string {
	return w.pick(
		func() string { return "now()" },
		func() string {
			return "date(" + w.word(`"2025-11-24"`, `"2025-12-01 10:30:00"`, `"2025-11-24T10:00:00+02:00"`) + ")"
		},
		func() string { return w.word(`last("A").time`, `first("B").time`) },
		func() string {
			return "(" + w.word("now()", `last("A").time`) + w.word(" + ", " - ") + w.span(depth-1) + ")"
		},
		func() string { return `now().In(timezone("Europe/Berlin"))` },
	)
}

func (w *writer) span(depth int) string {
	if depth <= 0 {
		return w.word(`duration("3d")`, `duration("1d12h")`, `since("A")`, `since("BB")`, `duration("90s")`)
	}
	return w.pick(
		func() string { return w.span(0) },
		func() string { return "(" + w.moment(depth-1) + " - " + w.moment(depth-1) + ")" },
		func() string { return "(" + w.span(depth-1) + w.word(" + ", " - ") + w.span(depth-1) + ")" },
		func() string { return "(" + w.span(depth-1) + " * 2)" },
	)
}

func (w *writer) anything(d int) string {
	return w.pick(
		func() string { return w.number(d) },
		func() string { return w.text(d) },
		func() string { return w.property(w.word("n", "s", "b", "l", "g", "o", "i", "x", "z")) },
		func() string { return w.list("n", d) },
		func() string { return "(" + w.number(d) + w.order() + w.number(d) + ")" },
		func() string { return "nil" },
	)
}
