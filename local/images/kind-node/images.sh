#!/bin/sh
# Makes the images that kubeadm, containerd and ./manifests name, each of one program, and puts them into containerd.
set -eu

containerd > /tmp/containerd.log 2>&1 &
trap 'kill %1 && wait' EXIT
for _ in $(seq 100); do
  ctr version > /dev/null 2>&1 && break
  sleep 0.1
done

# image NAME ROOT [ENTRYPOINT]
image() {
  work=$(mktemp -d)
  tar --directory "$2" --sort name --mtime @0 --owner 0 --group 0 --numeric-owner --create --file "$work/layer.tar" .
  digest=sha256:$(sha256sum "$work/layer.tar" | cut -d ' ' -f 1)
  jq -n --arg digest "$digest" --arg arch "$(dpkg --print-architecture)" --arg entrypoint "${3:-}" '{
    architecture: $arch, os: "linux", rootfs: {type: "layers", diff_ids: [$digest]},
    config: {Entrypoint: ([$entrypoint] | map(select(. != "")))}
  }' > "$work/config.json"
  jq -n --arg name "$1" '[{Config: "config.json", RepoTags: [$name], Layers: ["layer.tar"]}]' > "$work/manifest.json"
  tar --directory "$work" --create . |
    ctr --namespace k8s.io images import --label io.cri-containerd.pinned=pinned --no-unpack -
  rm -r "$work"
}

# program NAME FILE: where the pods that kubeadm makes look for it.
program() {
  root=$(mktemp -d)
  chmod 0755 "$root"
  case $2 in
    coredns | pause | provisioner) path=/$2 entrypoint=/$2 ;;
    *) path=/usr/local/bin/$2 entrypoint= ;;
  esac
  install -D "/tmp/images/$2" "$root$path"
  image "$1" "$root" "$entrypoint"
  rm -r "$root"
}

for name in $(kubeadm config images list --kubernetes-version "$(cat /kind/version)"); do
  file=${name##*/}
  case ${file%%:*} in
    pause) ;;
    kube-proxy) image "$name" /tmp/proxy ;;
    *) program "$name" "${file%%:*}" ;;
  esac
done
program "$(sed -n 's/.*sandbox_image = "\(.*\)"/\1/p' /etc/containerd/config.toml)" pause
program localhost/data-platform/provisioner:1 provisioner
