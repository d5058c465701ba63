import { fileURLToPath } from "node:url";
import { buildArguments, componentImages, findDefinition, ownImage } from "../../components/images.ts";
import type { GoProgram, ImageDefinition, MavenDependencies } from "../../components/kit/image.ts";
import type { BinaryName } from "../cluster/binaries.ts";

/** Something made on the host by a package client, and put into the build context as `output`. */
export type Artifact =
  /** A whole Debian file system as a tar: the packages that apt cannot do without, and `include`. */
  | { kind: "debian"; suite: string; include: string[]; output: string }
  /** Programs of the local cluster, which are built once for both, in a folder. */
  | { kind: "binaries"; names: BinaryName[]; output: string }
  /** A folder of a Go module that `../cluster/go/<pins>` pins: `path` in the module `module`. */
  | { kind: "module"; pins: string; module: string; path: string; output: string }
  | GoProgram
  | MavenDependencies;

/** How one image is built from packages. */
export type Definition = ImageDefinition<Artifact>;

/** The images that other images are built on, and those of Kubernetes itself. */
const baseImages: readonly Definition[] = [
  {
    folder: "local/images/debian",
    repositories: ["debian"],
    tags: /^trixie/,
    holds: "Debian 13 (trixie), the minimum",
    artifacts: [{ kind: "debian", suite: "trixie", include: ["ca-certificates"], output: "rootfs.tar" }],
  },
  // For software that needs an older Python than trixie's.
  {
    folder: "local/images/debian",
    repositories: ["debian"],
    tags: /^bookworm/,
    holds: "Debian 12 (bookworm), the minimum",
    artifacts: [{ kind: "debian", suite: "bookworm", include: ["ca-certificates"], output: "rootfs.tar" }],
  },
  {
    folder: "local/images/java",
    // Replaces no official image: those hold other builds of Java.
    repositories: ["localhost/java"],
    tags: /^21$/,
    holds: "OpenJDK 21, headless (Debian trixie)",
  },
  {
    folder: "local/images/python",
    repositories: ["python"],
    tags: /^3\.13\b/,
    holds: "Python 3.13 with pip (Debian trixie)",
  },
  {
    folder: "local/images/node",
    repositories: ["node"],
    tags: /^24\.21\.0-(trixie-)?slim$/,
    holds: "Node.js 24.21.0 (npm) on Debian trixie",
  },
  {
    folder: "local/images/pause",
    repositories: ["registry.k8s.io/pause"],
    holds: "a program that sleeps and reaps",
    artifacts: [{ kind: "go", package: ".", output: "pause" }],
  },
  {
    folder: "local/images/kind-node",
    repositories: ["kindest/node"],
    // The version that the local cluster's programs are of.
    tags: /^v1\.36\.3$/,
    holds: "a node of kind with Kubernetes 1.36.3 (Go modules, Debian trixie)",
    artifacts: [
      {
        kind: "binaries",
        names: [
          ...(["kubeadm", "kubectl", "kubelet", "kube-apiserver", "kube-controller-manager"] as const),
          ...(["kube-scheduler", "kube-proxy", "etcd", "coredns", "provisioner"] as const),
          ...(["containerd", "containerd-shim-runc-v2", "ctr", "runc"] as const),
          ...(["host-local", "loopback", "portmap", "ptp"] as const),
        ],
        output: "bin",
      },
      { kind: "module", pins: "kind", module: "sigs.k8s.io/kind", path: "images/base/files", output: "files" },
    ],
  },
  { folder: "local/images/busybox", repositories: ["busybox"], holds: "busybox 1.37 (Debian trixie)" },
];

/** Every image that can be built from packages: the base images, then those of the components. */
export const definitions: readonly Definition[] = [...baseImages, ...componentImages];

/** The definition that makes an image; undefined if none does. */
export const definitionOf = (reference: string, among = definitions): Definition | undefined =>
  findDefinition(reference, among);

/** Whether an image is the platform's own, to be built from its Dockerfile. An image pinned by digest is built already. */
export const isOwn = (reference: string): boolean => ownImage(reference) !== undefined;

export { buildArguments };

const root = new URL("../../", import.meta.url);

/** The absolute path of a definition's folder, with its Dockerfile and sources. */
export const folderOf = ({ folder }: Definition): string => fileURLToPath(new URL(folder, root));
