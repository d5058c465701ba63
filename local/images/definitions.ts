import { fileURLToPath } from "node:url";
import { buildArguments, componentImages, findDefinition, ownImage } from "../../components/images.ts";
import type { GoProgram, ImageDefinition, MavenDependencies } from "../../components/kit/image.ts";

/** Something made on the host by a package client, and put into the build context as `output`. */
export type Artifact =
  /** A whole Debian file system as a tar: the packages that apt cannot do without, and `include`. */
  { kind: "debian"; suite: string; include: string[]; output: string } | GoProgram | MavenDependencies;

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
