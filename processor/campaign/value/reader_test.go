package value

import (
	"errors"
	"testing"
)

func TestReader(t *testing.T) {
	r := NewReader(` { "skipped" : [ {"a":[1,"]"]} , null ], "s":"x", "list":[true , 2, []] ,"o":{"k":-1}, "e": {} } `)
	var seen string
	for r.EnterObject(); ; {
		name, ok := r.NextMember()
		if !ok {
			break
		}
		seen += name + ":" + r.Peek().String() + " "
		switch name {
		case "list":
			for r.EnterList(); r.NextElement(); {
				seen += r.Peek().String() + "=" + string(r.Value().Append(nil)) + " "
			}
		case "o":
			seen += string(r.Properties().Append(nil)) + " "
		case "skipped":
			r.Skip()
		default:
			seen += string(r.Value().Append(nil)) + " "
		}
	}
	if err := r.End(); err != nil {
		t.Fatal(err)
	}
	want := `skipped:a list s:a string "x" list:a list a boolean=true a number=2 a list=[] o:an object {"k":-1} e:an object {} `
	if seen != want {
		t.Errorf("saw  %s\nwant %s", seen, want)
	}
}

func TestReaderKeepsItsFirstError(t *testing.T) {
	r := NewReader(`{"a":[1,x],"b":2}`)
	r.EnterObject()
	r.NextMember()
	r.Skip()
	first := r.Err()
	var at *SyntaxError
	if !errors.As(first, &at) || at.Offset != 8 {
		t.Fatalf("the error is %v", first)
	}
	if name, ok := r.NextMember(); ok || name != "" {
		t.Errorf("read the member %q behind an error", name)
	}
	if r.NextElement() || r.Peek() != Nil || !r.Value().IsNil() || r.Properties() != nil {
		t.Error("read something behind an error")
	}
	if r.EnterList(); r.End() != first {
		t.Errorf("the error became %v", r.End())
	}
}
