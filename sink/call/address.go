package call

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// refused are the addresses that only an endpoint with allow_private may have: what IANA's special-purpose registries
// (RFC 6890) keep for this host, private networks, link-local, benchmarks, multicast and the future.
var refused = prefixes("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
	"192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4",
	"::/96", "fc00::/7", "fec0::/10", "fe80::/10", "ff00::/8")

var (
	nat64    = netip.MustParsePrefix("64:ff9b::/96")   // RFC 6052
	nat64own = netip.MustParsePrefix("64:ff9b:1::/48") // RFC 8215
	sixToOne = netip.MustParsePrefix("2002::/16")      // RFC 3056
	teredo   = netip.MustParsePrefix("2001::/32")      // RFC 4380
)

func prefixes(texts ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		all[i] = netip.MustParsePrefix(text)
	}
	return all
}

// Private reports whether an address, or one that it carries inside, is not of the public internet.
func Private(a netip.Addr) bool {
	a = a.WithZone("").Unmap()
	for _, p := range refused {
		if p.Contains(a) {
			return true
		}
	}
	for _, inner := range carried(a) {
		if Private(inner) {
			return true
		}
	}
	return false
}

// carried are the IPv4 addresses that an IPv6 address leads to by translation or a tunnel.
func carried(a netip.Addr) []netip.Addr {
	if !a.Is6() {
		return nil
	}
	b := a.As16()
	four := func(i, j, k, l int) netip.Addr { return netip.AddrFrom4([4]byte{b[i], b[j], b[k], b[l]}) }
	switch {
	case nat64.Contains(a):
		return []netip.Addr{four(12, 13, 14, 15)}
	case nat64own.Contains(a):
		if [6]byte(b[6:12]) == [6]byte{} {
			return []netip.Addr{four(12, 13, 14, 15)}
		}
		// The network's own prefix may be of any length from 48 on: RFC 6052, 2.2, has the address in one of these places.
		return []netip.Addr{four(6, 7, 9, 10), four(7, 9, 10, 11), four(9, 10, 11, 12), four(12, 13, 14, 15)}
	case sixToOne.Contains(a):
		return []netip.Addr{four(2, 3, 4, 5)}
	case teredo.Contains(a):
		for i := 12; i < 16; i++ {
			b[i] = ^b[i]
		}
		return []netip.Addr{four(4, 5, 6, 7), four(12, 13, 14, 15)}
	}
	return nil
}

// CheckHost says what is wrong with a host as it stands in a url, without resolving it; nil if nothing is. Brackets are not
// part of the host.
func CheckHost(host string, allowPrivate bool) error {
	if ascii, err := idna.Lookup.ToASCII(host); err == nil && !strings.EqualFold(ascii, host) { // as net/http does: ①② are 12, and there are dots that are none
		if err := CheckHost(ascii, allowPrivate); err != nil {
			return fmt.Errorf("%s stands for %s: %w", host, ascii, err)
		}
		return nil
	}
	if a, err := netip.ParseAddr(host); err == nil {
		if Private(a) && !allowPrivate {
			return fmt.Errorf("%s is a private address; allow_private: true is for an endpoint inside", host)
		}
		return nil
	}
	if a, ok := numeric(host); ok {
		if a.IsValid() {
			return fmt.Errorf("%s reads as the address %s; write it so", host, a)
		}
		return fmt.Errorf("%s ends in a number, but is not an address", host)
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if (name == "localhost" || strings.HasSuffix(name, ".localhost")) && !allowPrivate {
		return fmt.Errorf("%s is this machine; allow_private: true is for an endpoint inside", host)
	}
	return nil
}

// numeric reports whether a host that is not an address in the usual form may be read as a number: whether its last label is
// one in any base. a is the address, as inet_aton and the URL standard ("ends in a number") read it, if it is one.
func numeric(host string) (a netip.Addr, ok bool) {
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	if _, ok := number(labels[len(labels)-1]); !ok {
		return a, false
	}
	if len(labels) > 4 {
		return a, true
	}
	var bytes [4]byte
	for i, label := range labels {
		n, ok := number(label)
		last := i == len(labels)-1
		room := 1
		if last {
			room = 4 - i
		}
		if !ok || n >= 1<<(8*room) {
			return a, true
		}
		if !last {
			bytes[i] = byte(n)
			continue
		}
		for j := range room {
			bytes[3-j] = byte(n >> (8 * j))
		}
	}
	return netip.AddrFrom4(bytes), true
}

// number reads a label as decimal, octal (0…) or hexadecimal (0x…). Digits of which a base has none are no reason to take it
// for a name: 09 is a number to some.
func number(label string) (n uint64, ok bool) {
	lower := strings.ToLower(label)
	switch hex, isHex := strings.CutPrefix(lower, "0x"); {
	case label == "":
		return 0, false
	case isHex && strings.Trim(hex, "0123456789abcdef") == "":
		n, _ = strconv.ParseUint("0"+hex, 16, 64)
		return n, true
	case strings.Trim(label, "0123456789") != "":
		return 0, false
	case len(label) > 1 && label[0] == '0':
		if n, err := strconv.ParseUint(label, 8, 64); err == nil {
			return n, true
		}
	}
	n, err := strconv.ParseUint(label, 10, 64)
	if err != nil {
		n = 1 << 63 // too large for any address
	}
	return n, true
}
