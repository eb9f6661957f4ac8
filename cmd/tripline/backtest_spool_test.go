package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"
)

// What is written to strands is read back from each in order, from memory and from the file alike.
func TestSpool(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	for _, room := range []int{0, 3 * chunkBytes, 1 << 30} {
		s, rng := spool{room: room}, rand.New(rand.NewPCG(1, 2))
		var strands [3]*strand
		for i := range strands {
			strands[i] = s.strand()
		}
		var want [3][]string
		for n := range 3000 {
			i := rng.IntN(2) // nothing goes to the last one
			size := rng.IntN(200)
			if n%1000 == 0 {
				size = 5 * chunkBytes
			}
			entry := fmt.Sprint(n, strings.Repeat("x", size))
			want[i] = append(want[i], entry)
			if err := s.write(strands[i], appendField(nil, entry)); err != nil {
				t.Fatal(err)
			}
		}
		if (s.file == nil) != (room == 1<<30) {
			t.Errorf("with room for %d bytes, a file: %v", room, s.file != nil)
		}
		for i := range strands {
			all := s.entries(strands[i], make([]byte, 1000))
			for n := 0; ; n++ {
				entry, more, err := all.next()
				if err != nil || more != (n < len(want[i])) || more && entry != want[i][n] {
					t.Fatalf("strand %d, entry %d of %d: %.20q, %v, %v", i, n, len(want[i]), entry, more, err)
				}
				if !more {
					break
				}
			}
		}
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
	}
	if left, _ := os.ReadDir(os.TempDir()); len(left) > 0 {
		t.Errorf("%s is left", left[0].Name())
	}
}

func TestProgress(t *testing.T) {
	for _, one := range []struct {
		p    *progress
		took [2]time.Duration
		want string
	}{
		{&progress{size: 100e6, seen: 50e6}, [2]time.Duration{time.Second}, "\r[####..........................]  14 %, 14.3 MB/s, 6s left "},
		{&progress{size: 100e6, seen: 100e6, through: 50e6, phase: 1}, [2]time.Duration{2 * time.Second, 4 * time.Second}, "\r[###################...........]  64 %, 10.7 MB/s, 4s left "},
		{&progress{size: 1000, seen: 500, through: 250, records: true}, [2]time.Duration{time.Second, time.Second}, "\r[#########.....................]  32 %, 161 records/s, 4s left "},
		{&progress{seen: 7e6}, [2]time.Duration{time.Second}, "\r     7.0 MB, 2.0 MB/s "},
	} {
		if got := one.p.line(one.took); got != one.want {
			t.Errorf("%q, expected %q", got, one.want)
		}
	}
}
