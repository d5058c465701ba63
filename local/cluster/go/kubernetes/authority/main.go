// Signs a certificate for each Ingress that names this authority in the annotation of cert-manager's issuers, writes it to
// the Secret that the Ingress names, and renews it when a third of its time is left.
package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"flag"
	"fmt"
	"log"
	"math/big"
	"os"
	"os/signal"
	"syscall"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	annotation = "cert-manager.io/cluster-issuer"
	managedBy  = "app.kubernetes.io/managed-by"
	manager    = "data-platform-authority"
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "how to reach the API server")
	name := flag.String("name", "", "the issuer that Ingresses name")
	certificate := flag.String("certificate", "", "the authority's certificate, a PEM file")
	key := flag.String("key", "", "its key, a PEM file")
	lifetime := flag.Duration("lifetime", 90*24*time.Hour, "how long a certificate lasts")
	flag.Parse()

	pair, err := tls.LoadX509KeyPair(*certificate, *key)
	if err != nil {
		log.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		log.Fatal(err)
	}
	client := kubernetes.NewForConfigOrDie(config)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	authority := &authority{client: client, pair: pair, lifetime: *lifetime}

	factory := informers.NewSharedInformerFactory(client, 0)
	ingresses := factory.Networking().V1().Ingresses()
	changed := make(chan struct{}, 1)
	notify := func(any) {
		select {
		case changed <- struct{}{}:
		default: // Already noted.
		}
	}
	if _, err := ingresses.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    notify,
		UpdateFunc: func(_, now any) { notify(now) },
	}); err != nil {
		log.Fatal(err)
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())

	// A minute: it finds a Secret that someone has deleted, and a certificate whose time comes.
	tick := time.NewTicker(min(time.Minute, *lifetime/10))
	for {
		all, err := ingresses.Lister().List(labels.Everything())
		if err != nil {
			log.Fatal(err)
		}
		for _, one := range all {
			if one.Annotations[annotation] != *name {
				continue
			}
			for _, of := range one.Spec.TLS {
				if err := authority.ensure(ctx, one.Namespace, of.SecretName, of.Hosts); err != nil {
					log.Printf("%s/%s: %v", one.Namespace, of.SecretName, err)
				}
			}
		}
		select {
		case <-changed:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

type authority struct {
	client   kubernetes.Interface
	pair     tls.Certificate
	lifetime time.Duration
}

// Leaves a good certificate as it is. Controllers read the Secret again when it changes.
func (a *authority) ensure(ctx context.Context, namespace, name string, hosts []string) error {
	if name == "" || len(hosts) == 0 {
		return nil
	}
	secrets := a.client.CoreV1().Secrets(namespace)
	found, err := secrets.Get(ctx, name, meta.GetOptions{})
	missing := errors.IsNotFound(err)
	if err != nil && !missing {
		return err
	}
	if !missing && found.Labels[managedBy] != manager {
		return fmt.Errorf("not written: it is not this authority's Secret")
	}
	if !missing && a.isGood(found.Data[core.TLSCertKey], hosts) {
		return nil
	}
	certificate, key, err := a.sign(hosts)
	if err != nil {
		return err
	}
	secret := &core.Secret{
		ObjectMeta: meta.ObjectMeta{Name: name, Namespace: namespace, Labels: map[string]string{managedBy: manager}},
		Type:       core.SecretTypeTLS,
		Data:       map[string][]byte{core.TLSCertKey: certificate, core.TLSPrivateKeyKey: key},
	}
	if missing {
		_, err = secrets.Create(ctx, secret, meta.CreateOptions{})
	} else {
		secret.ResourceVersion = found.ResourceVersion
		_, err = secrets.Update(ctx, secret, meta.UpdateOptions{})
	}
	if err == nil {
		log.Printf("%s/%s: signed for %v", namespace, name, hosts)
	}
	return err
}

func (a *authority) isGood(chain []byte, hosts []string) bool {
	block, _ := pem.Decode(chain)
	if block == nil {
		return false
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil || certificate.CheckSignatureFrom(a.pair.Leaf) != nil {
		return false
	}
	for _, host := range hosts {
		if certificate.VerifyHostname(host) != nil {
			return false
		}
	}
	return time.Until(certificate.NotAfter) > certificate.NotAfter.Sub(certificate.NotBefore)/3
}

func (a *authority) sign(hosts []string) (chain, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{Organization: []string{"data-platform"}},
		DNSNames:     hosts,
		// A clock in a browser's machine may be a little behind.
		NotBefore:   now.Add(-time.Minute),
		NotAfter:    now.Add(a.lifetime),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, a.pair.Leaf, &private.PublicKey, a.pair.PrivateKey)
	if err != nil {
		return nil, nil, err
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	var all bytes.Buffer
	for _, one := range [][]byte{signed, a.pair.Leaf.Raw} {
		if err := pem.Encode(&all, &pem.Block{Type: "CERTIFICATE", Bytes: one}); err != nil {
			return nil, nil, err
		}
	}
	return all.Bytes(), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}), nil
}
