package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"

	"github.com/spf13/cobra"
)

// benchReceiver answers webhooks over bare connections, so that little of what is measured is the receiver: /hook gets an empty 200 at
// once, /hang never an answer.
type benchReceiver struct {
	// seen is called when the head of a request to /hook is read, by many goroutines; nil: nobody cares.
	seen func(id string)
}

// serve answers until the listener is closed.
func (r *benchReceiver) serve(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			r.answer(conn)
		}()
	}
}

// answer answers one request after the other until the sink closes the connection.
func (r *benchReceiver) answer(conn net.Conn) {
	in := bufio.NewReaderSize(conn, 16<<10)
	for {
		hangs, id, size, err := head(in)
		if err != nil {
			return
		}
		if hangs {
			_, _ = io.Copy(io.Discard, in) // until the sink has had enough
			return
		}
		if r.seen != nil {
			r.seen(id)
		}
		if _, err := in.Discard(size); err != nil {
			return
		}
		if _, err := conn.Write(benchAnswer); err != nil {
			return
		}
	}
}

var benchAnswer = []byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

// head reads the head of a request as net/http writes it: whether it is one to /hang, its webhook-id, and how long its body is.
func head(in *bufio.Reader) (hangs bool, id string, size int, err error) {
	for first := true; ; first = false {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return false, "", 0, err
		}
		name, value, _ := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(": "))
		switch {
		case first:
			hangs = bytes.Contains(line, []byte(" /hang "))
		case len(name) == 0:
			return hangs, id, size, nil
		case string(name) == "Webhook-Id":
			id = string(value)
		case string(name) == "Content-Length":
			if size, err = strconv.Atoi(string(value)); err != nil {
				return false, "", 0, err
			}
		}
	}
}

// benchReceiverCommand is a receiver in a process of its own. It prints its address.
func benchReceiverCommand() *cobra.Command {
	return &cobra.Command{
		Use:  "receiver",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), listener.Addr())
			go func() { <-c.Context().Done(); listener.Close() }()
			(&benchReceiver{}).serve(listener)
			return nil
		},
	}
}
