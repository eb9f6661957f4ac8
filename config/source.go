package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tripline/tripline/processor/campaign"
)

// maxFile and maxTests bound what is read, in bytes: campaigns and configuration, and files of tests, which may have been generated.
const (
	maxFile  = 4 << 20
	maxTests = 64 << 20
)

// file is one file while it is read, and what is wrong with it.
type file struct {
	name     string
	lines    []string
	most     int      // so many bytes; 0: a text that was made of files, and may be larger than each
	broken   bool     // does not parse, so that nothing is known of what its lines mean
	hidden   []*node  // scalars that problems do not show
	outside  []string // what the environment and files gave, which problems do not show either
	problems Problems

	row struct { // the line that runes returned last
		line  int
		runes []rune
	}
}

// part is one document of a file: where it begins and what stands there, with and without its marker.
type part struct {
	line      int // of raw
	raw, text string
}

// readFile reads a file of at most so many bytes and splits it at its document markers.
func readFile(name string, most int) (*file, []part) {
	f := &file{name: name, most: most}
	content, err := os.ReadFile(name)
	if err != nil {
		f.note(0, 0, "cannot be read: "+cause(err), "")
		return f, nil
	}
	return f, f.split(content)
}

// cause is an error of the file system without the name of the file.
func cause(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}

func (f *file) split(content []byte) []part {
	text := strings.TrimPrefix(string(content), "\ufeff")
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	f.lines = strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if f.most > 0 && len(content) > f.most {
		f.note(0, 0, fmt.Sprintf("larger than %d MiB", f.most>>20), "")
		return nil
	}
	for i, line := range f.lines {
		if at := strings.IndexFunc(line, unprintable); at >= 0 {
			f.lines[i] = strings.Map(printable, line)
			f.note(i+1, utf8.RuneCountInString(line[:at])+1, "a character that a YAML file cannot hold; it must be UTF-8", "")
			return nil
		}
	}
	var parts []part
	begin := 0
	add := func(end int) {
		if hasContent(f.lines[begin:end]) {
			raw := strings.Join(f.lines[begin:end], "\n") + "\n"
			parts = append(parts, part{line: begin + 1, raw: raw, text: strings.TrimPrefix(strings.TrimPrefix(raw, "---"), "\n")})
		}
	}
	for i, line := range f.lines {
		switch {
		case isMarker(line, "---"):
			add(i)
			begin = i
		case isMarker(line, "..."):
			add(i)
			begin = i + 1
		}
	}
	add(len(f.lines))
	return parts
}

// unprintable is what the YAML specification (5.1) keeps out of files.
func unprintable(r rune) bool {
	return r < ' ' && r != '\t' || r == 0x7f || r == utf8.RuneError || r == 0xfffe || r == 0xffff
}

func printable(r rune) rune {
	if unprintable(r) {
		return '?'
	}
	return r
}

func isMarker(line, marker string) bool {
	rest, ok := strings.CutPrefix(line, marker)
	return ok && (rest == "" || rest[0] == ' ' || rest[0] == '\t')
}

// hasContent reports whether lines hold more than comments, directives and a marker.
func hasContent(lines []string) bool {
	for i, line := range lines {
		if i == 0 && isMarker(line, "---") {
			line = line[3:]
		}
		line = strings.TrimLeft(line, " \t")
		if line != "" && line[0] != '#' && line[0] != '%' {
			return true
		}
	}
	return false
}

// marked is the document behind a marker, such that its text is the same.
func (p part) marked() string {
	if isMarker(strings.SplitN(p.raw, "\n", 2)[0], "---") {
		return p.raw
	}
	return "---\n" + p.text
}

// version is the version of a document: the first 16 hexadecimal digits of the SHA-256 of its text.
func (p part) version() string {
	sum := sha256.Sum256([]byte(p.text))
	return hex.EncodeToString(sum[:8])
}

// runes are the characters of a line.
func (f *file) runes(line int) []rune {
	if line < 1 || line > len(f.lines) {
		return nil
	}
	if f.row.line != line {
		f.row.line, f.row.runes = line, []rune(f.lines[line-1])
	}
	return f.row.runes
}

func (f *file) note(line, column int, message, suggestion string) {
	f.problems = append(f.problems, Problem{File: f.name, Line: line, Column: column, Message: message, Suggestion: suggestion})
}

// secretKey is a key whose value is probably secret, secretLine a line with one.
var (
	secretKey  = regexp.MustCompile(`(?i)password|secret|token|authorization|cookie|api-?key|basic|bearer`)
	secretLine = regexp.MustCompile(`(?i)((?:password|secret|token|authorization|cookie|api-?key|basic|bearer)[\w-]*["']?\s*:\s*)\S.*`)
	userInfo   = regexp.MustCompile(`://[^/\s@]*@`)
	elsewhere  = regexp.MustCompile(`^(\$\{[^}]*\}|file:.*)$`)
)

// hide keeps what is probably secret out of the lines that problems show, unless it says only where the secret is.
func (f *file) hide(n *node, secret bool, seen map[*node]bool) {
	if seen[n] {
		return
	}
	seen[n] = true
	if n.kind == scalar && secret && !elsewhere.MatchString(n.text) {
		f.hidden = append(f.hidden, n)
	}
	for _, p := range n.pairs {
		f.hide(p.value, secret || secretKey.MatchString(p.key.text) && p.key.text != "token_url", seen)
	}
	for _, element := range n.list {
		f.hide(element, secret, seen)
	}
}

// finish gives every problem its line, with secrets replaced, and returns them all.
func (f *file) finish() Problems {
	for i := range f.problems {
		p := &f.problems[i]
		p.Message, p.Suggestion = f.mask(p.Message), f.mask(p.Suggestion)
		if p.File == f.name && p.Line >= 1 && p.Line <= len(f.lines) {
			p.Text = f.shown(p.Line)
		}
	}
	return f.problems
}

// minMasked is how long a value from outside must be for a message to be searched for it: a shorter one is found where it is not meant.
const minMasked = 4

// mask is a message without what came from outside.
func (f *file) mask(message string) string {
	for _, value := range f.outside {
		if len(value) >= minMasked {
			message = strings.ReplaceAll(strings.ReplaceAll(message, value, "***"), strings.Trim(strconv.Quote(value), `"`), "***")
		}
	}
	return message
}

// maskWords is a message about a part of a scalar without those words that the part may have from outside.
func (f *file) maskWords(message string) string {
	return wordForm.ReplaceAllStringFunc(message, func(word string) string {
		if len(word) >= minMasked && slices.ContainsFunc(f.outside, func(value string) bool { return strings.Contains(value, word) }) {
			return "***"
		}
		return word
	})
}

var wordForm = regexp.MustCompile(`[^\s` + "`" + `"',;:()]+`)

// shown is a line as a problem shows it: up to the first secret on it.
func (f *file) shown(line int) string {
	row := strings.TrimRight(f.lines[line-1], " \t")
	if f.broken {
		return secretLine.ReplaceAllString(userInfo.ReplaceAllString(row, "://***@"), "$1***")
	}
	cut := -1
	for _, n := range f.hidden {
		last := n.line
		if places := f.places(n); places != nil {
			last = places[len(places)-1].line
		}
		if column := n.column - 1; line == n.line && (cut < 0 || column < cut) {
			cut = column
		} else if n.line < line && line <= last {
			cut = 0
		}
	}
	if cut < 0 {
		return row
	}
	return string(firstRunes(row, cut)) + "***"
}

// entry finds the value at a path, or the nearest that holds it.
func (d *document) entry(path string) pair {
	for {
		if e, ok := d.found[path]; ok {
			return e
		}
		if path == "" {
			return pair{value: &node{line: 1, column: 1}}
		}
		path = parent(path)
	}
}

// canonical is a path as the document is written: of a list of one, the element may stand there without its list, and others
// may call it `deliver` or `deliver[0]`.
func (d *document) canonical(path string) string {
	for base, alone := range d.alone {
		rest, ok := strings.CutPrefix(path, base)
		if first, is := strings.CutPrefix(rest, "[0]"); ok && is && alone {
			return base + first
		}
		if ok && !alone && strings.HasPrefix(rest, ".") {
			return base + "[0]" + rest
		}
	}
	return path
}

func parent(path string) string { return path[:max(0, strings.LastIndexAny(path, ".["))] }

// standing is what a problem at a path points at: the value, or the key of a block that begins on another line.
func (d *document) standing(path string) *node {
	e := d.entry(d.canonical(path))
	if e.key != nil && e.value.origin == "" && (e.value.kind != scalar && !e.value.flow || e.value.isNull() && e.value.text == "") {
		return e.key
	}
	return e.value
}

// follows reports whether a problem at a path follows from one that is noted already: at the same path, in what it holds, or in
// what holds it.
func (d *document) follows(path string) bool {
	within := func(inner, outer string) bool {
		rest, ok := strings.CutPrefix(inner, outer)
		return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
	}
	path = d.canonical(path)
	for _, failed := range d.failed {
		if failed == "" || path == "" && parent(failed) == "" || path != "" && within(failed, path) || within(path, failed) {
			return true
		}
	}
	return false
}

// relay notes a problem that was found by path below at, by others: in a scalar, it may say where in it.
func (d *document) relay(at string, p campaign.Problem) {
	path := at
	if p.Path != "" {
		path = join(at, p.Path)
	}
	if d.follows(path) {
		return
	}
	n := d.standing(path)
	if p.Line > 0 && n.kind == scalar {
		if strings.Contains(n.text, "${") || strings.HasPrefix(n.text, "file:") {
			p.Message, p.Suggestion = d.file.maskWords(p.Message), d.file.maskWords(p.Suggestion)
		}
		d.file.inside(n, p.Line, p.Column, p.Message, p.Suggestion)
		return
	}
	separator := ": "
	for _, verb := range []string{"is ", "has ", "must ", "belongs ", "stands "} {
		if strings.HasPrefix(p.Message, verb) {
			separator = " "
		}
	}
	message := keyName(path) + separator + p.Message
	if n.origin != "" {
		d.file.problems = append(d.file.problems, Problem{File: n.origin, Message: message, Suggestion: p.Suggestion})
		return
	}
	d.file.note(n.line, n.column, message, p.Suggestion)
}

// inside notes a problem at a line and column of a scalar's text, wherever the scalar's style puts them in the file.
func (f *file) inside(n *node, line, column int, message, suggestion string) {
	at := place{n.line, n.column}
	if places := f.places(n); places != nil {
		rows := strings.SplitAfter(n.text, "\n")
		offset := column - 1
		for _, row := range rows[:min(line-1, len(rows))] {
			offset += utf8.RuneCountInString(row)
		}
		at = places[max(0, min(offset, len(places)-1))]
	}
	f.note(at.line, at.column, message, suggestion)
}

// Source knows where everything that was read stands.
type Source struct {
	files     []*file
	documents []*document // one for each definition of LoadCampaigns, in its order
}

// Files are the names of all files that were read, those of `file:PATH` values too: what to watch for changes.
func (s *Source) Files() []string {
	var names []string
	for _, f := range s.files {
		names = append(names, f.name)
	}
	for _, d := range s.documents {
		names = append(names, d.read...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// problems are all that have been noted, in order.
func (s *Source) problems() Problems {
	var all Problems
	for _, f := range s.files {
		all = append(all, f.finish()...)
	}
	return all.sorted()
}
