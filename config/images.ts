/**
 * Every image the platform runs, in one table: name, version and, where one is known, digest.
 * A stack overrides one with `<component>.image`; `global.imageRegistry` moves them all to a mirror.
 */
export const images = {
  /** 17 is the oldest major that every component of the platform is tested with; its data lives under …/data/pgdata. */
  postgresql: "postgres:17.12",
  /** CloudNativePG's operator, for applications whose database it runs; the chart in charts/cloudnative-pg is of the same release. */
  cloudnativePg: "ghcr.io/cloudnative-pg/cloudnative-pg:1.30.0",
  /** What that operator runs: PostgreSQL alone, without extensions and without Barman. Of the newest release that it was seen with. */
  cloudnativePgPostgresql: "ghcr.io/cloudnative-pg/postgresql:17.11-minimal-trixie",
  /** A maintained line with security fixes; what the offline stand-in holds is older: see docs/redis.md. */
  redis: "redis:8.2.10",
  /**
   * The last image the MinIO project published for its community edition; it has been frozen since.
   * `minio.image` takes a maintained build of the same server: see docs/minio.md.
   */
  minio: "quay.io/minio/minio:RELEASE.2025-09-07T16-13-09Z",
  /** The newest whose server Maven Central has whole, which is what the tests run. */
  nessie: "ghcr.io/projectnessie/nessie:0.99.0",
  /** 4.4.0 lacks a module of its tools in Maven Central, so it could not be run here. */
  kafka: "apache/kafka:4.3.1",
  /** Speaks the API of Confluent's registry under /apis/ccompat/v7, under a licence without conditions of use. */
  schemaRegistry: "apicurio/apicurio-registry:3.3.3",
  /** A long-term release; what the offline stand-in holds is eight years older: see docs/clickhouse.md. */
  clickhouse: "clickhouse/clickhouse-server:26.3.4.1",
  /** The newest whose server Maven Central has whole, which is what the tests run. */
  trino: "trinodb/trino:476",
  /** `flink:2.3.0-java21` with the jars for Iceberg: apps/flink/Dockerfile. */
  flink: "data-platform/flink:2.3.0",
  /** `apache/spark:4.1.4` with the jars for Iceberg and S3: apps/spark/Dockerfile. */
  spark: "data-platform/spark:4.1.4",
  airflow: "apache/airflow:3.3.2",
  /** `apache/superset:6.1.0` with the drivers of the platform's databases: apps/superset/Dockerfile. */
  superset: "data-platform/superset:6.1.0",
  /** The Django application in apps/polls. */
  polls: "data-platform/polls:1.0.0",
  /** The jobs API and its worker in apps/web-app. */
  webApp: "data-platform/web-app:1.0.0",
  /** NoETL with all that it imports, at the version that most instances run: apps/noetl/Dockerfile. */
  noetl: "data-platform/noetl:4.26.0",
  /** The 2.12 line still gets fixes; NoETL's client wants nothing newer. */
  nats: "nats:2.12.15",
  /** Node.js with git, Helm and kustomize: apps/deployd/Dockerfile. */
  deployd: "data-platform/deployd:1.0.0",
  prometheus: "prom/prometheus:v3.13.5",
  /** No package holds it, so it is the one image that the tests do not run: see docs/monitoring.md. */
  grafana: "grafana/grafana:12.4.0",
  /** 0.20 changed the names of what it tells. */
  postgresqlExporter: "quay.io/prometheuscommunity/postgres-exporter:v0.19.1",
  redisExporter: "oliver006/redis_exporter:v1.88.0",
  statsdExporter: "prom/statsd-exporter:v0.31.0",
  /** The JMX exporter's agent, which no image is published of: apps/jmx-exporter/Dockerfile. */
  jmxExporter: "data-platform/jmx-exporter:1.0.1",
} as const;

export type ImageName = keyof typeof images;

/** The parts of an image reference. `registry` is "docker.io" where the reference names none. */
export interface ImageReference {
  registry: string;
  repository: string;
  tag?: string;
  digest?: string;
}

/** Takes `[registry/]repository[:tag][@digest]` apart, or returns undefined where it is not a reference. */
export function parseImage(reference: string): ImageReference | undefined {
  const match =
    /^((?:[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?::\d+)?\/)*)([a-z0-9]+(?:[._-]+[a-z0-9]+)*)(?::([\w][\w.-]{0,127}))?(?:@(sha256:[0-9a-f]{64}))?$/.exec(
      reference,
    );
  if (!match) return undefined;
  const path = `${match[1]}${match[2]}`;
  const [first = "", ...rest] = path.split("/");
  // As container runtimes decide: a first part with a dot or a port, or localhost, is a registry.
  const named = rest.length > 0 && /[.:]|^localhost$/.test(first);
  const registry = named ? first : "docker.io";
  const inRegistry = named ? rest.join("/") : path;
  const repository = registry === "docker.io" && !inRegistry.includes("/") ? `library/${inRegistry}` : inRegistry;
  return { registry, repository, ...(match[3] && { tag: match[3] }), ...(match[4] && { digest: match[4] }) };
}

/** The reference as a pod should name it: unchanged, or with its registry replaced by a mirror's prefix. */
export function resolveImage(reference: string, mirror?: string): string {
  if (!mirror) return reference;
  const image = parseImage(reference);
  if (!image) throw new Error(`${reference} is not an image reference`);
  const tag = image.tag ? `:${image.tag}` : "";
  const digest = image.digest ? `@${image.digest}` : "";
  return `${mirror.replace(/\/+$/, "")}/${image.repository}${tag}${digest}`;
}

/** A version of something else behind a word for the newest: `lts-22`, `stable-3`. */
const moving = /^(latest|stable|edge|nightly|lts|current|mainline|canary|rolling|next|testing|unstable|snapshot)[._-]/i;
/** `17`, `v3.1`, `2.3.0-java17`, `3.3.0rc1`; or behind a name: `release-1.2`, `RELEASE.2025-09-07T16-13-09Z`. */
const version = /^([A-Za-z]+[._-])?v?\d/;
/** A commit as git (`3f2a9c1`), `git describe` (`g3f2a9c1`) and build servers (`main-3f2a9c1`, `sha-3f2a9c1`) write it. */
const commit = /(^|[._-])(g|sha)?[0-9a-f]{7,40}($|[._-])/i;
/** A day: `nightly-20260917`, `edge-2026-09-17`. */
const day = /(^|[._-])20\d\d([.-]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])/;

/** Whether a tag says what is in the image, by a version, a commit or a day. A word alone, such as `stable`, moves. */
export const isFixedTag = (tag: string): boolean =>
  commit.test(tag) || day.test(tag) || (version.test(tag) && !moving.test(tag));
