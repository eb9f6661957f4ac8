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
	proxy        *proxyHop // nil: none
}

// dial is http.Transport.DialContext, of plain requests. The transport gives it no deadline: a connection that comes too late for
// its request serves another.
func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	if d.proxy != nil && d.proxy.forwards() {
		return d.hop(ctx, network) // the request names its target, which forwarded has checked
	}
	return d.open(ctx, network, address)
}

// open connects to a target, through the proxy where there is one.
func (d *dialer) open(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, &phaseError{policy.Connect, err}
	}
	if d.named(host) {
		return d.tunnel(ctx, network, host, port)
	}
	addresses, err := d.addresses(ctx, host)
	if err != nil {
		return nil, err
	}
	var failed error
	for i, a := range addresses {
		var conn net.Conn
		if d.proxy != nil {
			conn, err = d.tunnel(ctx, network, a.String(), port)
		} else {
			conn, err = d.connect(ctx, network, a.String(), port, len(addresses)-i, d.control)
		}
		if err == nil {
			return conn, nil
		}
		failed = err
	}
	return nil, failed
}

// named reports whether a proxy is given the host as it is. What is an address, or reads as one, is checked here.
func (d *dialer) named(host string) bool {
	if d.proxy == nil || !d.proxy.resolves {
		return false
	}
	_, err := netip.ParseAddr(host)
	_, number := numeric(host)
	return err != nil && !number
}

// addresses are those of a host that may be called; there is one, or an error.
func (d *dialer) addresses(ctx context.Context, host string) (allowed []netip.Addr, err error) {
	addresses, err := d.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	for _, a := range addresses {
		if d.allowPrivate || !Private(a) {
			allowed = append(allowed, a)
		}
	}
	if len(allowed) == 0 {
		return nil, &phaseError{policy.RefusedAddress, fmt.Errorf("%s is the private address %s", host, addresses[0])}
	}
	return allowed, nil
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
func (d *dialer) connect(ctx context.Context, network, host, port string, left int, control controlFunc) (net.Conn, error) {
	deadline, _ := ctx.Deadline()
	ctx, cancel := context.WithTimeout(ctx, time.Until(deadline)/time.Duration(left))
	defer cancel()
	dial := d.network.Dial
	if dial == nil {
		dial = (&net.Dialer{KeepAlive: 30 * time.Second, ControlContext: control}).DialContext
	}
	conn, err := dial(ctx, network, net.JoinHostPort(host, port))
	if err != nil {
		return nil, &phaseError{policy.Connect, err}
	}
	return conn, nil
}

type controlFunc func(ctx context.Context, network, address string, c syscall.RawConn) error

// control looks once more at what the system is about to connect to.
func (d *dialer) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil || Private(to.Addr()) && !d.allowPrivate {
		return fmt.Errorf("refused to connect to %s", address)
	}
	return nil
}

// dialTLS is http.Transport.DialTLSContext. Whatever address was connected to, the certificate is held against the host's name.
func (d *dialer) dialTLS(ctx context.Context, network, address string) (net.Conn, error) {
	dialling, done := context.WithTimeout(ctx, d.timeout)
	defer done()
	conn, err := d.open(dialling, network, address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	host, _, _ := net.SplitHostPort(address) // open has split it
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
