//go:build synctests

package main

import (
	"bufio"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/fnv"
	"os"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// course is what happens in a simulation, in order: the faults, the requests that brokers get with all that is in them, and the
// requests that receivers get. Two runs are the same if their sums are.
type course struct {
	mu    sync.Mutex
	sum   hash.Hash64
	lines int
	file  *os.File // nil: none is wanted
	text  *bufio.Writer
}

// newCourse begins one that is also written to a file, unless that is "".
func newCourse(file string) (*course, error) {
	c := &course{sum: fnv.New64a()}
	if file == "" {
		return c, nil
	}
	var err error
	if c.file, err = os.Create(file); err != nil {
		return nil, err
	}
	c.text = bufio.NewWriterSize(c.file, 1<<20)
	return c, nil
}

// note adds a line.
func (c *course) note(format string, args ...any) {
	line := time.Now().UTC().Format("2006-01-02T15:04:05.000000000 ") + fmt.Sprintf(format, args...) + "\n"
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines++
	c.sum.Write([]byte(line))
	if c.text != nil {
		c.text.WriteString(line)
	}
}

// requested notes a request to a broker.
func (c *course) requested(node int32, request kmsg.Request) {
	body := request.AppendTo(nil)
	c.note("broker %d: %s v%d, %d bytes, %08x", node, kmsg.NameForKey(request.Key()), request.GetVersion(), len(body), crc32.ChecksumIEEE(body))
}

// end writes what is left of the file.
func (c *course) end() error {
	if c.text == nil {
		return nil
	}
	if err := c.text.Flush(); err != nil {
		return err
	}
	return c.file.Close()
}

func (c *course) String() string {
	return fmt.Sprintf("course %016x of %d lines", c.sum.Sum64(), c.lines)
}
