package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"

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
		request, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		if request.URL.Path == "/hang" {
			_, _ = io.Copy(io.Discard, in) // until the sink has had enough
			return
		}
		if r.seen != nil {
			r.seen(request.Header.Get("webhook-id"))
		}
		if _, err := io.Copy(io.Discard, request.Body); err != nil {
			return
		}
		if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"); err != nil {
			return
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
