package call

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/tripline/tripline/sink/policy"
)

// Network is what calls go over. The zero Network is the machine's.
type Network struct {
	// Lookup resolves a name; nil: the machine's resolver.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	// Dial connects to an address that has been checked; nil: TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Roots are the certificates that are trusted; nil: the system's.
	Roots *x509.CertPool
}

// phaseError is a failure before there was a connection, with the reason that `deliveries` has for it.
type phaseError struct {
	reason string
	err    error
}

func (e *phaseError) Error() string { return e.err.Error() }
func (e *phaseError) Unwrap() error { return e.err }

// dialer connects, and checks every address after it was resolved and before it is connected to. So a name that resolves to
// something else the next time gains nothing.
type dialer struct {
	network      Network
	allowPrivate bool
	timeout      time.Duration
	tls          *tls.Config
}

// dial is http.Transport.DialContext. The transport gives it no deadline: a connection that comes too late for its request
// serves another.
func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, &phaseError{policy.Connect, err}
	}
	addresses, err := d.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	var failed error
	for i, a := range addresses {
		if Private(a) && !d.allowPrivate {
			if failed == nil {
				failed = &phaseError{policy.RefusedAddress, fmt.Errorf("%s is the private address %s", host, a)}
			}
			continue
		}
		conn, err := d.connect(ctx, network, a.String(), port, len(addresses)-i)
		if err == nil {
			return conn, nil
		}
		failed = err
	}
	return nil, failed
}

func (d *dialer) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	if _, ok := numeric(host); ok {
		return nil, &phaseError{policy.RefusedAddress, fmt.Errorf("the host %s reads as a number", host)}
	}
	lookup := d.network.Lookup
	if lookup == nil {
		lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	addresses, err := lookup(ctx, host)
	if err == nil && len(addresses) == 0 {
		err = fmt.Errorf("lookup %s: no address", host)
	}
	if err != nil {
		return nil, &phaseError{policy.DNS, err}
	}
	return addresses, nil
}

// connect gives each of the addresses that are left an equal share of the time.
func (d *dialer) connect(ctx context.Context, network, host, port string, left int) (net.Conn, error) {
	deadline, _ := ctx.Deadline()
	ctx, cancel := context.WithTimeout(ctx, time.Until(deadline)/time.Duration(left))
	defer cancel()
	dial := d.network.Dial
	if dial == nil {
		dial = (&net.Dialer{KeepAlive: 30 * time.Second, ControlContext: d.control}).DialContext
	}
	conn, err := dial(ctx, network, net.JoinHostPort(host, port))
	if err != nil {
		return nil, &phaseError{policy.Connect, err}
	}
	return conn, nil
}

// control looks once more at what the system is about to connect to.
func (d *dialer) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil || Private(to.Addr()) && !d.allowPrivate {
		return fmt.Errorf("refused to connect to %s", address)
	}
	return nil
}

// dialTLS is http.Transport.DialTLSContext.
func (d *dialer) dialTLS(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := d.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	host, _, _ := net.SplitHostPort(address) // dial has split it
	cfg := d.tls.Clone()
	cfg.ServerName, cfg.NextProtos = host, []string{"h2", "http/1.1"}
	if cfg.RootCAs == nil {
		cfg.RootCAs = d.network.Roots
	}
	secured := tls.Client(conn, cfg)
	if err := secured.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, &phaseError{policy.TLS, err}
	}
	return secured, nil
}
