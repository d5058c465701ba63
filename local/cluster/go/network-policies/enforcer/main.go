// Enforces NetworkPolicies on the embedded cluster's node by kube-network-policies. The stock program finds the API server
// only from inside a pod, and this one is a process of the node.
package main

import (
	"context"
	"encoding/binary"
	"flag"
	"net"
	"net/http"
	"os/signal"
	"syscall"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"sigs.k8s.io/kube-network-policies/pkg/networkpolicy"
)

// The table of the rules; local/cluster/layout.ts has the names of both.
const table = "data-platform-policies"

func main() {
	kubeconfig := flag.String("kubeconfig", "", "path of the kubeconfig")
	node := flag.String("node", "", "name of the node whose pods it protects")
	podAddresses := flag.String("pods", "", "addresses of the pods, in CIDR notation")
	queue := flag.Int("queue", 0, "number of the netfilter queue")
	healthz := flag.String("healthz", "", "address and port of /healthz, which answers 200 once all policies are known")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()

	if !hasQueueExpression(uint16(*queue)) {
		_, addresses, err := net.ParseCIDR(*podAddresses)
		if err != nil {
			klog.Fatal(err)
		}
		if err := queueByTarget(uint16(*queue), addresses); err != nil {
			klog.Fatal(err)
		}
		defer removeTable(nftables.TableFamilyIPv4, table)
	}

	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		klog.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		klog.Fatal(err)
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	policies := factory.Networking().V1().NetworkPolicies()
	namespaces := factory.Core().V1().Namespaces()
	pods := factory.Core().V1().Pods()
	// NRI stays on although the cluster's containerd has none: with NRIdisabled 0.8.0 ends at a packet of an unknown address.
	controller, err := networkpolicy.NewController(client, policies, namespaces, pods, nil, nil, nil, nil,
		networkpolicy.Config{
			NodeName: *node,
			QueueID:  *queue,
			// Another one on this machine would use the default name.
			NFTableName: table,
		})
	if err != nil {
		klog.Fatal(err)
	}
	factory.Start(ctx.Done())

	http.HandleFunc("/healthz", func(answer http.ResponseWriter, _ *http.Request) {
		synced := policies.Informer().HasSynced() && namespaces.Informer().HasSynced() && pods.Informer().HasSynced()
		if !synced {
			answer.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	go func() { klog.Fatal(http.ListenAndServe(*healthz, nil)) }()

	// Removes its rules when it ends.
	if err := controller.Run(ctx); err != nil {
		klog.Fatal(err)
	}
}

// Whether the kernel has nftables' own expression for queues (CONFIG_NFT_QUEUE), which the controller's rules use.
// Without it they fail as a whole, and the controller logs that.
func hasQueueExpression(queue uint16) bool {
	const probe = table + "-probe"
	nft := &nftables.Conn{}
	added := nft.AddTable(&nftables.Table{Name: probe, Family: nftables.TableFamilyINet})
	// A chain without a hook sees no packet.
	chain := nft.AddChain(&nftables.Chain{Name: "probe", Table: added})
	nft.AddRule(&nftables.Rule{Table: added, Chain: chain, Exprs: []expr.Any{&expr.Queue{Num: queue}}})
	if nft.Flush() != nil {
		return false
	}
	removeTable(nftables.TableFamilyINet, probe)
	return true
}

// Queues the first packet of each connection from or to a pod by the target NFQUEUE of iptables, which nftables takes too
// (CONFIG_NFT_COMPAT). The controller decides on each; a pod that no policy selects is its quickest case.
func queueByTarget(queue uint16, pods *net.IPNet) error {
	nft := &nftables.Conn{}
	added := &nftables.Table{Name: table, Family: nftables.TableFamilyIPv4}
	nft.AddTable(added)
	nft.DelTable(added)
	nft.AddTable(added)
	// After the Service's address is replaced, and before source NAT hides the client's, as the controller's own rules.
	chain := nft.AddChain(&nftables.Chain{
		Name:     "postrouting",
		Table:    added,
		Type:     nftables.ChainTypeFilter,
		Hooknum:  nftables.ChainHookPostrouting,
		Priority: nftables.ChainPriorityRef(*nftables.ChainPriorityNATSource - 5),
	})
	accept := &expr.Verdict{Kind: expr.VerdictAccept}
	rule := func(expressions ...expr.Any) {
		nft.AddRule(&nftables.Rule{Table: added, Chain: chain, Exprs: expressions})
	}
	// Processes of the node: probes of the kubelet, and port-forward.
	rule(
		&expr.Meta{Key: expr.MetaKeySKUID, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: make([]byte, 4)},
		accept,
	)
	known := make([]byte, 4)
	binary.NativeEndian.PutUint32(known, expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED)
	rule(
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: known, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
		accept,
	)
	const source, destination = 12, 16
	for _, offset := range []uint32{source, destination} {
		// struct xt_NFQ_info: a 16-bit number in the machine's order, padded to eight bytes.
		info := make(xt.Unknown, 8)
		binary.NativeEndian.PutUint16(info, queue)
		rule(
			&expr.Payload{Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4, DestRegister: 1},
			&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: pods.Mask, Xor: make([]byte, 4)},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: pods.IP.To4()},
			&expr.Target{Name: "NFQUEUE", Info: &info},
		)
	}
	return nft.Flush()
}

func removeTable(family nftables.TableFamily, name string) {
	nft := &nftables.Conn{}
	nft.DelTable(&nftables.Table{Name: name, Family: family})
	if err := nft.Flush(); err != nil {
		klog.Error(err)
	}
}
