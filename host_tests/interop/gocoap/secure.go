// Sessions: OCF's anonymous suite, which the library does not have and lets a Client bring; keys; certificates.
package main

import (
	"context"
	"crypto/ecdsa"
	curve "crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
	"math/big"
	"net"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/crypto/ciphersuite"
	"github.com/pion/dtls/v3/pkg/crypto/clientcertificate"
	"github.com/pion/dtls/v3/pkg/crypto/elliptic"
	"github.com/pion/dtls/v3/pkg/crypto/prf"
	dtlsNet "github.com/pion/dtls/v3/pkg/net"
	"github.com/pion/dtls/v3/pkg/protocol/recordlayer"
	coapDTLS "github.com/plgd-dev/go-coap/v3/dtls"
	"github.com/plgd-dev/go-coap/v3/options"
	"github.com/plgd-dev/go-coap/v3/udp"
	"github.com/plgd-dev/go-coap/v3/udp/client"
)

// party is a certificate with those above it, and its key, in PEM; Trusts are authorities of others.
type party struct {
	Chain  string `json:"chain"`
	Key    string `json:"key"`
	Trusts string `json:"trusts"`
}

var identityUsage = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 44924, 1, 6}

// anonymous is TLS_ECDH_anon_WITH_AES_128_CBC_SHA256 under OCF's private number.
type anonymous struct {
	cipher atomic.Pointer[ciphersuite.CBC]
}

func (a *anonymous) String() string                          { return "OCF_ECDH_anon_AES_128_CBC_SHA256" }
func (a *anonymous) ID() dtls.CipherSuiteID                  { return 0xFF00 }
func (a *anonymous) CertificateType() clientcertificate.Type { return 0 }
func (a *anonymous) HashFunc() func() hash.Hash              { return sha256.New }
func (a *anonymous) AuthenticationType() dtls.CipherSuiteAuthenticationType {
	return dtls.CipherSuiteAuthenticationTypeAnonymous
}
func (a *anonymous) KeyExchangeAlgorithm() dtls.CipherSuiteKeyExchangeAlgorithm {
	return dtls.CipherSuiteKeyExchangeAlgorithmEcdhe
}
func (a *anonymous) ECC() bool           { return true }
func (a *anonymous) IsInitialized() bool { return a.cipher.Load() != nil }

func (a *anonymous) Init(master, clientRandom, serverRandom []byte, isClient bool) error {
	keys, err := prf.GenerateEncryptionKeys(master, clientRandom, serverRandom, 32, 16, 16, sha256.New)
	if err != nil {
		return err
	}
	if !isClient {
		return errors.New("this suite is for a client")
	}
	cipher, err := ciphersuite.NewCBC(keys.ClientWriteKey, keys.ClientWriteIV, keys.ClientMACKey,
		keys.ServerWriteKey, keys.ServerWriteIV, keys.ServerMACKey, sha256.New)
	a.cipher.Store(cipher)
	return err
}

func (a *anonymous) Encrypt(packet *recordlayer.RecordLayer, raw []byte) ([]byte, error) {
	return a.cipher.Load().Encrypt(packet, raw)
}

func (a *anonymous) Decrypt(header recordlayer.Header, raw []byte) ([]byte, error) {
	return a.cipher.Load().Decrypt(header, raw)
}

func justWorks() *dtls.Config {
	return &dtls.Config{
		CustomCipherSuites: func() []dtls.CipherSuite { return []dtls.CipherSuite{&anonymous{}} },
		VerifyConnection: func(state *dtls.State) error {
			if state.CipherSuiteID != 0xFF00 {
				return fmt.Errorf("the device chose %v", state.CipherSuiteID)
			}
			return nil
		},
	}
}

// dial makes a session: the handshake is complete when it returns.
func dial(ctx context.Context, address string, config *dtls.Config) (*client.Conn, error) {
	config.EllipticCurves = []elliptic.Curve{elliptic.X25519, elliptic.P256, elliptic.P384} // as an unaware Client offers
	socket, err := net.Dial("udp4", address+":5684")
	if err != nil {
		return nil, err
	}
	conn, err := dtls.Client(dtlsNet.PacketConnFromConn(socket), socket.RemoteAddr(), config)
	if err == nil {
		err = conn.HandshakeContext(ctx)
	}
	if err != nil {
		_ = socket.Close()
		return nil, err
	}
	return coapDTLS.Client(conn, options.WithCloseSocket(), options.WithErrors(func(error) {})), nil
}

// connect is a session as the owner, or none: in the clear.
func (d *desk) connect(ctx context.Context, c command) (*client.Conn, error) {
	switch c.Method {
	case "clear":
		return udp.Dial(c.Address + ":5683")
	case "anonymous":
		return dial(ctx, c.Address, justWorks())
	case "psk":
		return dialKey(ctx, c.Address, &d.owner)
	case "certificate":
		return dialCertificate(ctx, c.Address, d.owner.certificate)
	}
	return nil, fmt.Errorf("%q is no way to connect", c.Method)
}

func dialKey(ctx context.Context, address string, owner *identity) (*client.Conn, error) {
	name, err := raw(owner.uuid)
	if err != nil {
		return nil, err
	}
	return dial(ctx, address, &dtls.Config{
		PSK:             func([]byte) ([]byte, error) { return owner.key, nil },
		PSKIdentityHint: name,
		CipherSuites:    []dtls.CipherSuiteID{dtls.TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA256},
	})
}

func dialCertificate(ctx context.Context, address string, own *party) (*client.Conn, error) {
	if own == nil {
		return nil, errors.New("this Client has no certificate")
	}
	pair, err := tls.X509KeyPair([]byte(own.Chain), []byte(own.Key))
	if err != nil {
		return nil, err
	}
	trusted := x509.NewCertPool()
	if !trusted.AppendCertsFromPEM([]byte(own.Trusts)) {
		return nil, errors.New("this Client trusts nobody")
	}
	return dial(ctx, address, &dtls.Config{
		Certificates:       []tls.Certificate{pair},
		InsecureSkipVerify: true, // a Device has no host name; its chain is verified below
		CipherSuites:       []dtls.CipherSuiteID{dtls.TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8, dtls.TLS_ECDHE_ECDSA_WITH_AES_128_CCM},
		VerifyPeerCertificate: func(chain [][]byte, _ [][]*x509.Certificate) error {
			return verify(chain, trusted)
		},
	})
}

func verify(chain [][]byte, trusted *x509.CertPool) error {
	above := x509.NewCertPool()
	var leaf *x509.Certificate
	for i, der := range chain {
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return err
		}
		if i == 0 {
			leaf = certificate
		} else {
			above.AddCert(certificate)
		}
	}
	if leaf == nil {
		return errors.New("the device shows no certificate")
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: trusted, Intermediates: above, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	return err
}

// certify has the authority issue certificates for the Device, by its request, and for the owner; the credentials to write.
func certify(ctx context.Context, session *client.Conn, authority *party, device string, owner *identity) ([]body, error) {
	found, err := get(ctx, session, "/oic/sec/csr")
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode([]byte(fmt.Sprint(found.(body)["csr"])))
	if block == nil {
		return nil, fmt.Errorf("csr has no PEM: %v", found)
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, err
	}
	if err = request.CheckSignature(); err != nil {
		return nil, fmt.Errorf("csr: %w", err)
	}
	if request.Subject.CommonName != "uuid:"+device {
		return nil, fmt.Errorf("csr is for %q and not for the device %s", request.Subject.CommonName, device)
	}
	issuer, err := tls.X509KeyPair([]byte(authority.Chain), []byte(authority.Key))
	if err != nil {
		return nil, err
	}
	chain, err := issue(issuer, authority.Chain, request.PublicKey, device)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(curve.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	own, err := issue(issuer, authority.Chain, &key.PublicKey, owner.uuid)
	if err != nil {
		return nil, err
	}
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	owner.certificate = &party{Chain: own, Key: string(private), Trusts: authority.Chain}
	certificate := func(subject, usage, data string) body {
		return body{
			"subjectuuid": subject, "credtype": 8, "credusage": "oic.sec.cred." + usage,
			"publicdata": body{"data": data, "encoding": "oic.sec.encoding.pem"},
		}
	}
	return []body{certificate(device, "cert", chain), certificate(owner.uuid, "trustca", authority.Chain)}, nil
}

func issue(issuer tls.Certificate, above string, public any, uuid string) (string, error) {
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return "", err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "uuid:" + uuid},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageKeyAgreement,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		UnknownExtKeyUsage:    []asn1.ObjectIdentifier{identityUsage},
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer.Leaf, public, issuer.PrivateKey)
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})) + above, nil
}
