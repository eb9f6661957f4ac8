package call

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
)

// TLS is an endpoint's `tls`, PEM texts; the zero TLS trusts what the network does, shows no certificate, and speaks 1.2 or newer.
type TLS struct {
	CA         string // certificates that are trusted in place of the network's
	Cert, Key  string // what the client shows of itself; both or none
	MinVersion string // "1.2" or "1.3"
}

// TLSProblem is what is wrong with a TLS. It holds no secret.
type TLSProblem struct {
	Path string // "ca"
	Err  error
}

// Config reads what connections are made with.
func (t TLS) Config() (*tls.Config, []TLSProblem) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	var problems []TLSProblem
	if t.CA != "" {
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM([]byte(t.CA)) {
			problems = append(problems, TLSProblem{"ca", errors.New("holds no PEM certificate")})
		}
	}
	switch {
	case t.Cert == "" && t.Key != "":
		problems = append(problems, TLSProblem{"key", errors.New("belongs to a `cert`, which is not there")})
	case t.Cert != "" && t.Key == "":
		problems = append(problems, TLSProblem{"cert", errors.New("belongs to a `key`, which is not there")})
	case t.Cert != "":
		pair, err := tls.X509KeyPair([]byte(t.Cert), []byte(t.Key))
		if err != nil {
			problems = append(problems, TLSProblem{"cert", err})
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	switch t.MinVersion {
	case "", "1.2":
	case "1.3":
		cfg.MinVersion = tls.VersionTLS13
	default:
		problems = append(problems, TLSProblem{"min_version", errors.New(`expected "1.2" or "1.3"`)})
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return cfg, nil
}
