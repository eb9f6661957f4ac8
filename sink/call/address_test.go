package call

import (
	"net/netip"
	"strings"
	"testing"
)

func TestPrivate(t *testing.T) {
	for address, private := range map[string]bool{
		"0.0.0.0": true, "0.255.255.255": true, "1.0.0.0": false, "8.8.8.8": false,
		"9.255.255.255": false, "10.0.0.0": true, "10.255.255.255": true, "11.0.0.0": false,
		"100.63.255.255": false, "100.64.0.0": true, "100.127.255.255": true, "100.128.0.0": false,
		"126.255.255.255": false, "127.0.0.1": true, "127.255.255.255": true, "128.0.0.0": false,
		"169.253.255.255": false, "169.254.169.254": true, "169.255.0.0": false,
		"172.15.255.255": false, "172.16.0.0": true, "172.31.255.255": true, "172.32.0.0": false,
		"191.255.255.255": false, "192.0.0.0": true, "192.0.0.255": true, "192.0.1.0": false,
		"192.167.255.255": false, "192.168.0.0": true, "192.169.0.0": false,
		"198.17.255.255": false, "198.18.0.0": true, "198.19.255.255": true, "198.20.0.0": false,
		"223.255.255.255": false, "224.0.0.1": true, "239.255.255.255": true, "240.0.0.0": true, "255.255.255.255": true,
		"::": true, "::1": true, "::7f00:1": true, "::8.8.8.8": true,
		"fbff::1": false, "fc00::1": true, "fdff::1": true, "fe00::1": false,
		"fe7f::1": false, "fe80::1": true, "fe80::1%eth0": true, "febf::1": true, "fec0::1": true, "feff::1": true, "ff02::1": true,
		"2606:4700::1111": false, "2a00::1": false,
		"::ffff:127.0.0.1": true, "::ffff:10.1.2.3": true, "::ffff:8.8.8.8": false,
		"64:ff9b::7f00:1": true, "64:ff9b::a9fe:a9fe": true, "64:ff9b::808:808": false,
		"64:ff9b:1::a00:1": true, "64:ff9b:1::808:808": false, "64:ff9b:1:a00:0:100::": true, "64:ff9b:1:aa0a:0:1::": true,
		"64:ff9b:1:abcd:a:0:100:0": true, "64:ff9b:2::a00:1": false,
		"2002:7f00:1::": true, "2002:a9fe:a9fe::1": true, "2002:808:808::1": false,
		"2001:0:808:808::f5ff:fffe": true, "2001:0:a00:1::f7f7:f7f7": true, "2001:0:808:808::f7f7:f7f7": false, "2001:1::1": false,
	} {
		if got := Private(netip.MustParseAddr(address)); got != private {
			t.Errorf("%s: %v, want %v", address, got, private)
		}
	}
}

func TestCheckHost(t *testing.T) {
	for host, want := range map[string]string{
		"example.com": "", "example.com.": "", "8.8.8.8": "", "2606:4700::1111": "", "a1.b2c": "", "0x.example": "", "1e100.net": "",
		"127.0.0.1": "private", "::1": "private", "::ffff:10.0.0.1": "private", "169.254.169.254": "private", "fe80::1%eth0": "private",
		"localhost": "this machine", "LOCALHOST.": "this machine", "db.localhost": "this machine",
		"①②⑦.⓪.⓪.①": "127.0.0.1 is a private", "127。0。0。1": "127.0.0.1 is a private", "LOCALHOST": "this machine", "②⑤⑥.1": "ends in a number",
		"127.1": "127.0.0.1", "0x7f.1": "127.0.0.1", "2130706433": "127.0.0.1", "0x7f000001": "127.0.0.1", "0X7F000001": "127.0.0.1",
		"017700000001": "127.0.0.1", "0177.0.0.01": "127.0.0.1", "127.0.0.1.": "127.0.0.1", "127.0.1": "127.0.0.1", "134744072": "8.8.8.8",
		"1.2.3.256": "not an address", "1.2.3.4.5": "not an address", "foo.123": "not an address", "foo.0x1": "not an address",
		"99999999999999999999999": "not an address", "09.1.1.1": "9.1.1.1", "0x": "0.0.0.0",
	} {
		err := CheckHost(host, false)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", host, err, want)
		}
	}
	for host, refused := range map[string]bool{"127.0.0.1": false, "localhost": false, "::1": false, "127.1": true, "2130706433": true} {
		if err := CheckHost(host, true); (err != nil) != refused {
			t.Errorf("%s allowed: %v", host, err)
		}
	}
}
