// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

// Asks Go's crypto/x509, the verifier of Kubernetes and etcd, about certificates. Takes a JSON list of questions on standard
// input, and answers with a list of texts: empty where a certificate is accepted, else the reason.
package main

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
)

type question struct {
	Certificate   string   // path; what follows the first certificate in it are intermediates, as a TLS server sends them
	Roots         string   // path
	Intermediates string   // path, or empty
	Usage         string   // server, client, or another
	Names         []string // each must be one of the certificate's; addresses too
}

var usages = map[string]x509.ExtKeyUsage{
	"server": x509.ExtKeyUsageServerAuth,
	"client": x509.ExtKeyUsageClientAuth,
	"code":   x509.ExtKeyUsageCodeSigning,
}

func certificates(path string) ([]*x509.Certificate, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var found []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		found = append(found, certificate)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s holds no certificate", path)
	}
	return found, nil
}

func pool(paths ...string) (*x509.CertPool, error) {
	found := x509.NewCertPool()
	for _, path := range paths {
		if path == "" {
			continue
		}
		members, err := certificates(path)
		if err != nil {
			return nil, err
		}
		for _, member := range members {
			found.AddCert(member)
		}
	}
	return found, nil
}

func verify(asked question) error {
	usage, known := usages[asked.Usage]
	if !known {
		return fmt.Errorf("no such usage: %s", asked.Usage)
	}
	shown, err := certificates(asked.Certificate)
	if err != nil {
		return err
	}
	roots, err := pool(asked.Roots)
	if err != nil {
		return err
	}
	intermediates, err := pool(asked.Intermediates)
	if err != nil {
		return err
	}
	for _, further := range shown[1:] {
		intermediates.AddCert(further)
	}
	options := x509.VerifyOptions{Roots: roots, Intermediates: intermediates, KeyUsages: []x509.ExtKeyUsage{usage}}
	if _, err := shown[0].Verify(options); err != nil {
		return err
	}
	for _, name := range asked.Names {
		if err := shown[0].VerifyHostname(name); err != nil {
			return err
		}
	}
	return nil
}

func main() {
	var asked []question
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		fmt.Fprintln(os.Stderr, "verify: the questions are no JSON list:", err)
		os.Exit(2)
	}
	answers := make([]string, len(asked))
	for number, one := range asked {
		if err := verify(one); err != nil {
			answers[number] = err.Error()
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		os.Exit(1)
	}
}
