// Makes a directory for each PersistentVolumeClaim of its storage class, and removes it with the volume.
//
// It runs on the machine whose directories these are, so it needs no helper pod and no image, and serves simulated
// nodes alike. A directory has no size: a claim's request is recorded and not enforced, so growing one is complete as
// soon as the new size is recorded.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "how to reach the API server")
	name := flag.String("name", "", "the provisioner that storage classes name")
	root := flag.String("root", "", "the directory that holds the volumes")
	flag.Parse()

	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		log.Fatal(err)
	}
	client := kubernetes.NewForConfigOrDie(config)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()

	go growClaims(ctx, client, *name)
	provisioner := &directories{root: *root, name: *name}
	controller.NewProvisionController(ctx, client, *name, provisioner,
		controller.LeaderElection(false), // There is one.
		controller.ExponentialBackOffOnError(false),
	).Run(ctx)
}

type directories struct{ root, name string }

func (d *directories) Provision(_ context.Context, o controller.ProvisionOptions) (*core.PersistentVolume, controller.ProvisioningState, error) {
	for _, mode := range o.PVC.Spec.AccessModes {
		if mode == core.ReadWriteMany || mode == core.ReadOnlyMany {
			return nil, controller.ProvisioningFinished, fmt.Errorf("a directory of one node cannot be %s", mode)
		}
	}
	if o.PVC.Spec.VolumeMode != nil && *o.PVC.Spec.VolumeMode == core.PersistentVolumeBlock {
		return nil, controller.ProvisioningFinished, fmt.Errorf("a directory cannot be a block device")
	}
	path := filepath.Join(d.root, fmt.Sprintf("%s_%s_%s", o.PVC.Namespace, o.PVC.Name, o.PVName))
	// Owned by root and closed to others, like the file system of a new disk: a pod that writes to it sets fsGroup,
	// here as on a cloud's disks.
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	volume := &core.PersistentVolume{
		ObjectMeta: meta.ObjectMeta{Name: o.PVName},
		Spec: core.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: *o.StorageClass.ReclaimPolicy,
			AccessModes:                   o.PVC.Spec.AccessModes,
			Capacity:                      core.ResourceList{core.ResourceStorage: o.PVC.Spec.Resources.Requests[core.ResourceStorage]},
			PersistentVolumeSource:        core.PersistentVolumeSource{Local: &core.LocalVolumeSource{Path: path}},
		},
	}
	if o.SelectedNodeName != "" {
		volume.Spec.NodeAffinity = onNode(o.SelectedNodeName)
		return volume, controller.ProvisioningFinished, nil
	}
	return nil, controller.ProvisioningFinished, fmt.Errorf("no node was selected: the storage class must wait for the first consumer")
}

func (d *directories) Delete(_ context.Context, volume *core.PersistentVolume) error {
	path := volume.Spec.Local.Path
	if filepath.Dir(path) != filepath.Clean(d.root) {
		return fmt.Errorf("%s is not a directory of %s", path, d.root)
	}
	return os.RemoveAll(path)
}

func onNode(name string) *core.VolumeNodeAffinity {
	return &core.VolumeNodeAffinity{Required: &core.NodeSelector{NodeSelectorTerms: []core.NodeSelectorTerm{{
		MatchExpressions: []core.NodeSelectorRequirement{{Key: core.LabelHostname, Operator: core.NodeSelectorOpIn, Values: []string{name}}},
	}}}}
}

// growClaims records the new size of each bound claim that asks for more than its volume has.
func growClaims(ctx context.Context, client kubernetes.Interface, provisioner string) {
	grow := func(object any) {
		claim, ok := object.(*core.PersistentVolumeClaim)
		if !ok || claim.Status.Phase != core.ClaimBound {
			return
		}
		wanted, has := claim.Spec.Resources.Requests[core.ResourceStorage], claim.Status.Capacity[core.ResourceStorage]
		if wanted.Cmp(has) <= 0 {
			return
		}
		volume, err := client.CoreV1().PersistentVolumes().Get(ctx, claim.Spec.VolumeName, meta.GetOptions{})
		if err != nil || volume.Annotations["pv.kubernetes.io/provisioned-by"] != provisioner {
			return
		}
		volume.Spec.Capacity[core.ResourceStorage] = wanted
		if _, err = client.CoreV1().PersistentVolumes().Update(ctx, volume, meta.UpdateOptions{}); err == nil {
			claim = claim.DeepCopy()
			claim.Status.Capacity[core.ResourceStorage] = wanted
			claim.Status.Conditions = nil
			_, err = client.CoreV1().PersistentVolumeClaims(claim.Namespace).UpdateStatus(ctx, claim, meta.UpdateOptions{})
		}
		if err != nil {
			log.Printf("growing %s/%s: %v", claim.Namespace, claim.Name, err)
		}
	}
	// The resync tries again what failed, most likely on a conflict with another writer.
	informer := informers.NewSharedInformerFactory(client, 30*time.Second).Core().V1().PersistentVolumeClaims().Informer()
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    grow,
		UpdateFunc: func(_, object any) { grow(object) },
	}); err != nil {
		log.Fatal(err)
	}
	informer.Run(ctx.Done())
}
