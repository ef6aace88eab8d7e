package remote

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// The two ends of a connection. Each has a key of its own, so what one end has signed
// proves nothing to the same end of another connection.
const (
	agentEnd       = "agent"
	coordinatorEnd = "coordinator"
)

var errOtherKey = errors.New("it does not have the key of this mesh")

// derive makes the signing key of one end out of a key of the mesh (RFC 5869; one key
// of the mesh has one purpose each for gossip and for this, and the name keeps meshes apart
// that share a key).
func derive(key []byte, mesh, end string) (ed25519.PrivateKey, error) {
	seed, err := hkdf.Key(sha256.New, key, nil, "usb4mesh measurements v1/"+end+"/"+mesh, ed25519.SeedSize)
	if err != nil {
		return nil, fmt.Errorf("derive a key: %w", err)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// settings returns the TLS settings of one end: it signs with the first key, and
// believes who signs with any. So keys are exchanged as those of gossip are: the new one
// second on all nodes, then first, then alone.
func settings(keys [][]byte, mesh, own, other string) (*tls.Config, error) {
	if len(keys) == 0 {
		return nil, errors.New("there is no key of the mesh")
	}
	private, err := derive(keys[0], mesh, own)
	if err != nil {
		return nil, err
	}
	var known []ed25519.PublicKey
	for _, key := range keys {
		k, err := derive(key, mesh, other)
		if err != nil {
			return nil, err
		}
		known = append(known, k.Public().(ed25519.PublicKey))
	}
	// TLS wants a certificate around the key. Nothing in it counts.
	form := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Unix(1<<33, 0)}
	certificate, err := x509.CreateCertificate(rand.Reader, form, form, private.Public(), private)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: private}},
		ClientAuth:             tls.RequireAnyClientCert,
		InsecureSkipVerify:     true, // no names and no authorities: VerifyConnection looks at the key itself
		SessionTicketsDisabled: true, // each connection proves the key anew
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 1 {
				if shown, ok := s.PeerCertificates[0].PublicKey.(ed25519.PublicKey); ok {
					for _, k := range known {
						if k.Equal(shown) {
							return nil
						}
					}
				}
			}
			return errOtherKey
		},
	}, nil
}
