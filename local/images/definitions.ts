import { fileURLToPath } from "node:url";
import type { BinaryName } from "../cluster/binaries.ts";
import { parseReference, repositoryOf } from "./reference.ts";

/** Something made on the host by a package client, put into the build context as `output`. */
export type Artifact =
  /** A whole Debian file system as a tar, of the packages apt cannot do without and `include`. */
  | { kind: "debian"; suite: string; include: string[]; output: string }
  /** A static program from the Go module in the definition's folder `go/`, whose go.mod and go.sum pin it. */
  | { kind: "go"; package: string; output: string; ldflags?: string; tags?: string[] }
  /** Programs of the local cluster, which are built once for both, in a folder. */
  | { kind: "binaries"; names: BinaryName[]; output: string }
  /** A folder of a Go module that `../cluster/go/<pins>` pins: `path` in the module `module`. */
  | { kind: "module"; pins: string; module: string; path: string; output: string }
  /** A folder of what the definition's pom.xml depends on, which pins it: jars, or whole distributions. */
  | { kind: "maven"; output: string };

/** How one image is made where its registry is out of reach: a folder here with a Dockerfile, and its artifacts. */
export interface Definition {
  folder: string;
  /** The repositories whose images it stands in for. */
  repositories: string[];
  /** The tags it may stand in for; any, where none is given. What is really inside is `holds`. */
  tags?: RegExp;
  /** Whether it is the platform's own image, which no registry has, and stands in for none. */
  own?: boolean;
  /** The build argument that is given the tag, where one Dockerfile makes an image for each version. */
  tagAs?: string;
  /** The software inside, whatever the tag says. */
  holds: string;
  artifacts?: Artifact[];
}

/** Linker flags that set a Go program's variables. */
const stamp = (variables: Record<string, string>): string =>
  Object.entries(variables)
    .map(([name, value]) => `-X ${name}=${value}`)
    .join(" ");

const server = "github.com/minio/minio";
const client = "github.com/minio/mc";
const serverRelease = "RELEASE.2025-09-07T16-13-09Z";
const clientRelease = "DEVELOPMENT.2025-03-13T08-02-18Z";

const prometheusRelease = "3.13.5";

const operator = "github.com/cloudnative-pg/cloudnative-pg";

/** The variable that Prometheus' programs and the exporters made the same way take their release from. */
const release = "github.com/prometheus/common/version.Version";

export const definitions: readonly Definition[] = [
  {
    folder: "debian",
    repositories: ["debian"],
    tags: /^trixie/,
    holds: "Debian 13 (trixie), the minimum",
    artifacts: [{ kind: "debian", suite: "trixie", include: ["ca-certificates"], output: "rootfs.tar" }],
  },
  // For what needs an older Python than trixie's.
  {
    folder: "debian",
    repositories: ["debian"],
    tags: /^bookworm/,
    holds: "Debian 12 (bookworm), the minimum",
    artifacts: [{ kind: "debian", suite: "bookworm", include: ["ca-certificates"], output: "rootfs.tar" }],
  },
  {
    folder: "java",
    // Below the other images, and no stand-in for anyone's: what official images name so is another build of Java.
    repositories: ["localhost/java"],
    tags: /^21$/,
    holds: "OpenJDK 21, headless (Debian trixie)",
  },
  {
    folder: "python",
    repositories: ["python"],
    tags: /^3\.13\b/,
    holds: "Python 3.13 with pip (Debian trixie)",
  },
  {
    folder: "node",
    repositories: ["node"],
    tags: /^24\.21\.0-(trixie-)?slim$/,
    holds: "Node.js 24.21.0 (npm) on Debian trixie",
  },
  {
    folder: "pause",
    repositories: ["registry.k8s.io/pause"],
    holds: "a program that sleeps and reaps",
    artifacts: [{ kind: "go", package: ".", output: "pause" }],
  },
  {
    folder: "kind-node",
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
  { folder: "busybox", repositories: ["busybox"], holds: "busybox 1.37 (Debian trixie)" },
  // The tag's major version decides where the data lies, so a 17 must not answer to the name of an 18.
  {
    folder: "postgres",
    repositories: ["postgres"],
    tags: /^17\b/,
    holds: "PostgreSQL 17, without JIT (Debian trixie)",
  },
  {
    folder: "cloudnative-pg",
    repositories: ["ghcr.io/cloudnative-pg/cloudnative-pg"],
    tags: /^1\.30\b/,
    holds: "CloudNativePG 1.30.0, the operator (Go module)",
    artifacts: [
      {
        kind: "go",
        package: `${operator}/cmd/manager`,
        output: "manager",
        // Unstamped, it calls its commit none and its date unknown.
        ldflags: stamp({
          [`${operator}/pkg/versions.buildCommit`]: "4b5e244a7",
          [`${operator}/pkg/versions.buildDate`]: "2026-06-29",
        }),
      },
    ],
  },
  {
    folder: "cloudnative-pg-postgresql",
    repositories: ["ghcr.io/cloudnative-pg/postgresql"],
    tags: /^17\b/,
    holds: "PostgreSQL 17, without JIT, as CloudNativePG runs it (Debian trixie)",
  },
  { folder: "redis", repositories: ["redis"], tags: /^8\b/, holds: "Redis 8.0, without modules (Debian trixie)" },
  {
    folder: "minio",
    repositories: ["quay.io/minio/minio", "minio/minio"],
    holds: `MinIO ${serverRelease}, mc ${clientRelease} (Go modules)`,
    // Unstamped, each calls itself a development build of no date, and clients that ask are told so.
    artifacts: [
      {
        kind: "go",
        package: server,
        output: "minio",
        ldflags: stamp({
          [`${server}/cmd.Version`]: "2025-09-07T16:13:09Z",
          [`${server}/cmd.ReleaseTag`]: serverRelease,
          [`${server}/cmd.CommitID`]: "07c3a429bfed433e49018cb0f78a52145d4bedeb",
          [`${server}/cmd.ShortCommitID`]: "07c3a429bfed",
          [`${server}/cmd.CopyrightYear`]: "2025",
        }),
      },
      {
        kind: "go",
        package: client,
        output: "mc",
        ldflags: stamp({
          [`${client}/cmd.Version`]: "2025-03-13T08:02:18Z",
          [`${client}/cmd.ReleaseTag`]: clientRelease,
          [`${client}/cmd.CommitID`]: "cf909e1063a9",
          [`${client}/cmd.ShortCommitID`]: "cf909e1063a9",
          [`${client}/cmd.CopyrightYear`]: "2025",
        }),
      },
    ],
  },
  {
    folder: "nessie",
    repositories: ["ghcr.io/projectnessie/nessie"],
    holds: "Nessie 0.99.0 (Maven), OpenJDK 21",
    artifacts: [{ kind: "maven", output: "jars" }],
  },
  {
    folder: "kafka",
    repositories: ["apache/kafka"],
    tags: /^4\b/,
    holds: "Kafka 4.3.1 (Maven) with scripts of its own, OpenJDK 21",
    artifacts: [{ kind: "maven", output: "jars" }],
  },
  {
    folder: "trino",
    repositories: ["trinodb/trino"],
    holds: "Trino 476 (Maven) without most of its plugins, OpenJDK 25",
    artifacts: [{ kind: "maven", output: "packages" }],
  },
  {
    folder: "apicurio-registry",
    repositories: ["apicurio/apicurio-registry"],
    tags: /^3\b/,
    holds: "Apicurio Registry 3.3.3 (Maven), OpenJDK 21",
    artifacts: [{ kind: "maven", output: "packages" }],
  },
  {
    folder: "flink",
    repositories: ["flink"],
    tags: /^2\b/,
    holds: "Flink 2.3.0 (PyPI) with its S3 file systems (Maven), OpenJDK 21",
    artifacts: [{ kind: "maven", output: "jars" }],
  },
  {
    folder: "../../apps/flink",
    repositories: ["data-platform/flink"],
    own: true,
    holds: "Flink with Iceberg 1.11.0 (Maven)",
    artifacts: [{ kind: "maven", output: "jars" }],
  },
  {
    folder: "spark",
    repositories: ["apache/spark", "spark"],
    tags: /^4\b/,
    holds: "Spark 4.1.4 (PyPI), OpenJDK 21, Python 3.13",
  },
  {
    folder: "../../apps/spark",
    repositories: ["data-platform/spark"],
    own: true,
    holds: "Spark with Iceberg 1.12.0 and S3 (Maven)",
    artifacts: [{ kind: "maven", output: "jars" }],
  },
  {
    folder: "../../apps/jmx-exporter",
    repositories: ["data-platform/jmx-exporter"],
    own: true,
    holds: "the JMX exporter 1.0.1 (Maven)",
    artifacts: [{ kind: "maven", output: "jars" }],
  },
  {
    folder: "clickhouse",
    repositories: ["clickhouse/clickhouse-server", "clickhouse"],
    holds: "ClickHouse 18.16, eight years older than what the platform is written for (Debian bookworm)",
  },
  {
    folder: "airflow",
    repositories: ["apache/airflow"],
    tags: /^3\.3\.2\b/,
    holds: "Airflow 3.3.2 with the providers the platform uses, on Python 3.13 (PyPI)",
  },
  {
    folder: "superset",
    repositories: ["apache/superset"],
    tags: /^6\.1\.0\b/,
    holds: "Superset 6.1.0 on Python 3.11 (PyPI)",
  },
  {
    folder: "../../apps/superset",
    repositories: ["data-platform/superset"],
    own: true,
    holds: "Superset with the drivers of the platform's databases",
  },
  {
    folder: "../../apps/polls",
    repositories: ["data-platform/polls"],
    own: true,
    holds: "the polls application, on Django 5.2.19 (PyPI)",
  },
  {
    folder: "../../apps/web-app",
    repositories: ["data-platform/web-app"],
    own: true,
    holds: "the web app, on Flask 3.1.3 (PyPI)",
  },
  {
    folder: "../../apps/noetl",
    repositories: ["data-platform/noetl"],
    own: true,
    tagAs: "VERSION",
    holds: "NoETL at the version of its tag, on Python 3.13 (PyPI)",
  },
  {
    folder: "nats",
    repositories: ["nats"],
    // The variants that have a distribution under them have a shell, which this has not.
    tags: /^2\.12[.\d]*$/,
    holds: "NATS 2.12.15 (Go module)",
    artifacts: [
      {
        kind: "go",
        package: "github.com/nats-io/nats-server/v2",
        output: "nats-server",
        // Unstamped, it calls its commit unknown.
        ldflags: stamp({ "github.com/nats-io/nats-server/v2/server.serverVersion": "2.12.15" }),
      },
    ],
  },
  {
    folder: "../../apps/deployd",
    repositories: ["data-platform/deployd"],
    own: true,
    holds: "deployd with git, Helm 4.3.1 and kustomize 5.8.2 (npm, Go modules)",
    artifacts: [
      {
        kind: "go",
        package: "helm.sh/helm/v4/cmd/helm",
        output: "helm",
        ldflags: stamp({ "helm.sh/helm/v4/internal/version.version": "v4.3.1" }),
      },
      {
        kind: "go",
        package: "sigs.k8s.io/kustomize/kustomize/v5",
        output: "kustomize",
        ldflags: stamp({ "sigs.k8s.io/kustomize/api/provenance.version": "v5.8.2" }),
      },
    ],
  },
  {
    folder: "prometheus",
    repositories: ["prom/prometheus", "quay.io/prometheus/prometheus"],
    tags: /^v3\b/,
    holds: `Prometheus ${prometheusRelease}, without its pages and finding targets in Kubernetes and files only (Go modules)`,
    artifacts: ["prometheus", "promtool"].map((output) => ({
      kind: "go",
      package: `github.com/prometheus/prometheus/cmd/${output}`,
      output,
      // The clients of two dozen clouds' APIs, for finding targets there, are most of what would be compiled.
      tags: ["netgo", "remove_all_sd", "enable_kubernetes_sd"],
      ldflags: stamp({ [release]: prometheusRelease }),
    })),
  },
  {
    folder: "postgres-exporter",
    repositories: ["quay.io/prometheuscommunity/postgres-exporter", "prometheuscommunity/postgres-exporter"],
    // 0.20 names metrics and flags otherwise.
    tags: /^v0\.19\b/,
    holds: "postgres_exporter 0.19.1 (Go module)",
    artifacts: [
      {
        kind: "go",
        package: "github.com/prometheus-community/postgres_exporter/cmd/postgres_exporter",
        output: "postgres_exporter",
        ldflags: stamp({ [release]: "0.19.1" }),
      },
    ],
  },
  {
    folder: "redis-exporter",
    repositories: ["oliver006/redis_exporter", "quay.io/oliver006/redis_exporter", "ghcr.io/oliver006/redis_exporter"],
    // The variants that have a distribution under them have a shell, which this has not.
    tags: /^v1[.\d]*$/,
    holds: "redis_exporter 1.88.0 (Go module)",
    artifacts: [
      {
        kind: "go",
        package: "github.com/oliver006/redis_exporter",
        output: "redis_exporter",
        // Unstamped, it says of each that it was to be filled in, in its log and in a metric.
        ldflags: stamp({
          "main.BuildVersion": "v1.88.0",
          "main.BuildDate": "2026-07-23-12:26:34",
          "main.BuildCommitSha": "16db88a0c2981c365aeca0973c43dd7d6a560f64",
        }),
      },
    ],
  },
  {
    folder: "statsd-exporter",
    repositories: ["prom/statsd-exporter", "quay.io/prometheus/statsd-exporter"],
    // 0.31 refuses fields of a mapping that older ones take.
    tags: /^v0\.31\b/,
    holds: "statsd_exporter 0.31.0 (Go module)",
    artifacts: [
      {
        kind: "go",
        package: "github.com/prometheus/statsd_exporter",
        output: "statsd_exporter",
        ldflags: stamp({ [release]: "0.31.0" }),
      },
    ],
  },
];

/** The definition that may stand in for an image. */
export function definitionOf(reference: string, among = definitions): Definition | undefined {
  const repository = repositoryOf(reference);
  return among.find(
    (d) =>
      d.repositories.some((r) => repositoryOf(r) === repository) &&
      (d.tags?.test(parseReference(reference).tag) ?? true),
  );
}

/** Whether an image is the platform's own, to be built from its Dockerfile. One that is pinned by digest is there already. */
export const isOwn = (reference: string): boolean =>
  definitionOf(reference)?.own === true && !parseReference(reference).digest;

/** The build arguments that make the image of a reference's tag. */
export const buildArguments = (definition: Definition, reference: string): Record<string, string> =>
  definition.tagAs ? { [definition.tagAs]: parseReference(reference).tag } : {};

/** Where a definition's Dockerfile and sources lie. */
export const folderOf = (definition: Definition): string =>
  fileURLToPath(new URL(`./${definition.folder}`, import.meta.url));
