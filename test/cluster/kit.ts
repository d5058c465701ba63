import dns, { promises as names } from "node:dns";
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { Agent } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { Exec, KubeConfig, type V1Status } from "@kubernetes/client-node";
import { execa, type Options } from "execa";
import { Client } from "minio";
import pg from "pg";
import { expect, inject, vi } from "vitest";
import { parse, stringify } from "yaml";
import { parseConfig } from "../../config/problems.ts";
import { Kube, type Live } from "../../kube/client.ts";
import { readiness } from "../../kube/ready.ts";
import { kubeconfigPath } from "../../local/cluster/index.ts";

/*
 * Helpers of the cluster tests: this project's command line, a connection to the cluster, and ordinary clients of the
 * servers that run there.
 */

/** Namespace of the core in the stack of the core's tests. */
export const core = "dev-core";

/** The stack with every component: `test`, or the running one that `TEST_STACK` names. */
const wholeName = process.env.TEST_STACK ?? "test";
/** Its namespaces. */
export const whole = { core: `${wholeName}-core`, apps: `${wholeName}-apps`, monitoring: `${wholeName}-monitoring` };

/** The domain of the stack with every component. Browsers resolve it to this machine. */
export const domain = `${wholeName}.localhost`;

/** Pages without a login that have a host all the same: there is no issuer for one in front of them. */
const withoutLogin = ["nessie", "trino", "flink", "spark", "noetl", "prometheus", "webApp", "deployd"];

/**
 * The stack with every component, closed as far as the platform can: `test`, which has network policies, with the front
 * door, separate users and monitoring. Without Grafana: no package has it. `changes` as in `stackFile`.
 */
export function wholeFile(changes = "{}"): string {
  const own: Record<string, object> = {
    global: { domain, separateUsers: true },
    frontDoor: Object.fromEntries(withoutLogin.map((key) => [key, { allowWithoutLogin: true }])),
    redis: { cache: { enabled: true } },
    monitoring: { enabled: true, grafana: { enabled: false } },
  };
  for (const [component, change] of Object.entries(parse(changes) as Record<string, object>))
    own[component] = { ...own[component], ...change };
  return stackFile("test", stringify(own));
}

/** Starts the cluster, and destroys the other stacks: one node has no room for two. */
export async function roomFor(stack: "dev" | "test" | undefined): Promise<void> {
  // The running cluster and its stacks are the user's.
  if (process.env.TEST_STACK) return;
  await mustRun(["cluster", "up"]);
  for (const other of ["dev", "test"]) if (other !== stack) await mustRun(["destroy", "--stack", other]);
}

/** Brings up the stack with every component. Changes nothing if it is up. */
export async function wholeStack(): Promise<void> {
  if (process.env.TEST_STACK) return;
  // A stack that failed for one file fails for the next, after the same timeout.
  const failed = join(inject("run"), "the-whole-stack-failed");
  if (existsSync(failed)) throw new Error("the whole test stack did not come up, see the file that tried first");
  try {
    await roomFor("test");
    await mustRun(["up", "--stack", "test", "--config-file", wholeFile()]);
  } catch (error) {
    writeFileSync(failed, "");
    throw error;
  }
}

/** The stack of the core and the applications: `dev`, or the running one that `TEST_STACK` names. */
const smallName = process.env.TEST_STACK ?? "dev";
export const small = {
  stack: smallName,
  core: `${smallName}-core`,
  apps: `${smallName}-apps`,
  deployed: `${smallName}-deployed`,
};

/** For `stackFile`: disables the applications, for tests of the components that they use. */
export const withoutApplications = `
noetl: { enabled: false }
polls: { enabled: false }
webApp: { enabled: false }
deployd: { enabled: false }`;

/** Brings up the stack of the core and the applications. Changes nothing if it is up. */
export async function smallStack(): Promise<void> {
  if (process.env.TEST_STACK) return;
  await roomFor("dev");
  await mustRun(["up", "--stack", small.stack]);
}

/** The connection to the cluster for clients of the Kubernetes library: for what `kube` does not do. */
export function kubeConfig(): KubeConfig {
  const config = new KubeConfig();
  config.loadFromFile(kubeconfigPath());
  return config;
}

let connection: Kube | undefined;
export function kube(): Kube {
  connection ??= Kube.load({ kubeconfig: kubeconfigPath() });
  return connection;
}

/** Runs `./platform …` to its end. The caller checks the exit code. */
export const platform = (args: string[], options: Options = {}) =>
  execa("./platform", args, { reject: false, all: true, stdin: "ignore", ...options });

/** Runs `./platform …`. Fails with its output. */
export async function mustRun(args: string[], options: Options = {}): Promise<string> {
  const { exitCode, all } = await platform(args, options);
  if (exitCode !== 0) throw new Error(`./platform ${args.join(" ")} ended with ${exitCode}:\n${all}`);
  return String(all);
}

/** The last line of `up` if there was nothing to do. */
export const unchanged = /^\d+ unchanged$/m;

/**
 * Runs `./platform …`, and sends it a signal after some milliseconds, or when a condition holds. `all`: also to every
 * process that it started.
 */
export async function interrupted(
  args: string[],
  signal: "SIGINT" | "SIGKILL",
  when: number | (() => Promise<boolean>),
  all = false,
) {
  // In its own process group, so that the signal reaches no other process.
  const run = platform(args, { detached: true });
  const send = () => {
    if (!all || !run.pid) run.kill(signal);
    else if (run.exitCode === null && run.signalCode === null) process.kill(-run.pid, signal);
  };
  let over = false;
  const moment = async (holds: () => Promise<boolean>) => {
    // After the command's end there is nothing to wait for.
    await vi.waitUntil(async () => over || (await holds()), { timeout: 600_000, interval: 100 });
    if (!over) send();
  };
  const timer = typeof when === "number" ? setTimeout(send, when) : void moment(when);
  const { exitCode, signal: endedBy, all: printed } = await run;
  over = true;
  clearTimeout(timer);
  return { exitCode, endedBy, printed: String(printed) };
}

/** For `--config-file`: the stack's file with changes to it (YAML, keyed by component). */
export function stackFile(stack: string, changes: string): string {
  const { config } = parse(readFileSync(`Pulumi.${stack}.yaml`, "utf8")) as { config: Record<string, object> };
  for (const [component, change] of Object.entries(parse(changes) as Record<string, object>)) {
    const key = `data-platform:${component}`;
    config[key] = { ...config[key], ...change };
  }
  const file = join(mkdtempSync(join(tmpdir(), "stack-")), `Pulumi.${stack}.yaml`);
  writeFileSync(file, stringify({ config }));
  return file;
}

/** A stack file of `dev` with only these components, and changes to each. */
export const fileOfComponents = (components: Record<string, object>): string => {
  const all = Object.entries(parseConfig("dev", {})).filter(([, block]) => "enabled" in block);
  return stackFile(
    "dev",
    stringify({ ...Object.fromEntries(all.map(([name]) => [name, { enabled: false }])), ...components }),
  );
};

type Kind = "Pod" | "Secret" | "ConfigMap" | "Service" | "Namespace" | "Node" | "PersistentVolumeClaim";
const v1 = (kind: Kind, name: string, namespace?: string) => ({
  apiVersion: "v1",
  kind,
  metadata: { name, ...(namespace && { namespace }) },
});

export async function get(kind: Kind, name: string, namespace?: string): Promise<Live | undefined> {
  return kube().get(v1(kind, name, namespace));
}

/** Whether a service account is allowed to do something, from the API server's SubjectAccessReview. */
export async function may(account: { name: string; namespace: string }, verb: string, resource: string, in_: string) {
  const review = await kube().create({
    apiVersion: "authorization.k8s.io/v1",
    kind: "SubjectAccessReview",
    metadata: { name: "" },
    spec: {
      user: `system:serviceaccount:${account.namespace}:${account.name}`,
      resourceAttributes: { verb, resource, namespace: in_ },
    },
  });
  return review.status.allowed as boolean;
}

/** Deletes namespaces, and waits until they are gone with all that is in them. */
export async function deleteNamespaces(names: string[]): Promise<void> {
  for (const name of names) await kube().delete(v1("Namespace", name));
  await vi.waitFor(
    async () => {
      for (const name of names) expect(await get("Namespace", name)).toBeUndefined();
    },
    { timeout: 300_000, interval: 500 },
  );
}

/** A Secret's values, decoded. */
export async function secret(name: string, namespace = core): Promise<Record<string, string>> {
  const { data = {} } = ((await get("Secret", name, namespace)) ?? {}) as { data?: Record<string, string> };
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value, "base64").toString()]));
}

/** The S3 keys of a component, and their Secret: its own user's, or without `global.separateUsers` those that all share. */
export async function bucketKeys(
  component: string,
  namespace: string,
): Promise<{ secret: string; accessKey: string; secretKey: string }> {
  for (const name of [`minio-user-${component}`, "minio-platform"]) {
    const { "access-key": accessKey, "secret-key": secretKey } = await secret(name, namespace);
    if (accessKey && secretKey) return { secret: name, accessKey, secretKey };
  }
  throw new Error(`${namespace} has no S3 keys of ${component}`);
}

/** The cluster IP of a Service, which this machine can reach. */
export async function address(service: string, namespace = core): Promise<string> {
  return (await get("Service", service, namespace))!.spec.clusterIP as string;
}

/** UID of each pod of a namespace by name. */
export async function pods(namespace = core): Promise<Record<string, string>> {
  const all = await kube().list("v1", "Pod", namespace);
  return Object.fromEntries(all.map(({ metadata }) => [metadata.name, metadata.uid as string]));
}

/** Deletes a pod and waits until its replacement is ready. */
export async function replacePod(name: string, namespace = core): Promise<void> {
  const before = (await get("Pod", name, namespace))!.metadata.uid;
  await kube().delete(v1("Pod", name, namespace));
  await ready(name, namespace, before as string);
}

/** Waits until the core's Services route to their pods. */
export async function reachable(): Promise<void> {
  const ports = { postgresql: 5432, redis: 6379, minio: 9000 };
  await Promise.all(Object.entries(ports).map(([service, port]) => leadsToPods(service, port)));
}

/**
 * Waits until a Service routes to its pods: kube-proxy's rules follow a pod's readiness with a delay. It connects to the
 * cluster IP, whose rules are written together with those of the NodePort. A connection to the NodePort would spoil it:
 * for two minutes conntrack remembers a connection without a pod, and refuses the next one from the same source port.
 */
export async function leadsToPods(service: string, port: number, namespace = core): Promise<void> {
  const host = await address(service, namespace);
  const attempt = () =>
    new Promise<void>((done, failed) => {
      const socket = connect({ host, port, timeout: 2_000 }, () => done(void socket.destroy()));
      socket.on("error", failed);
      socket.on("timeout", () => socket.destroy(new Error(`${host}:${port} does not answer`)));
    });
  await vi.waitFor(attempt, { timeout: 120_000, interval: 200 });
}

/** Waits until a pod is ready and has another UID than this one. */
export const ready = (name: string, namespace = core, not = "") =>
  vi.waitFor(
    async () => {
      const pod = await get("Pod", name, namespace);
      const conditions = (pod?.status?.conditions ?? []) as { type: string; status: string }[];
      const isReady = conditions.some(({ type, status }) => type === "Ready" && status === "True");
      if (!isReady || pod?.metadata.uid === not) throw new Error(`pod ${name} is not ready`);
    },
    { timeout: 180_000, interval: 500 },
  );

const madeBy = (maker: string, { metadata }: Live): boolean =>
  (metadata.ownerReferences ?? []).some(({ kind }) => kind === maker);

/** Workloads and Jobs of a namespace that are not ready, without the Jobs of CronJobs. */
export async function unready(namespace: string): Promise<string[]> {
  const kinds = [
    ["apps/v1", "StatefulSet"],
    ["apps/v1", "Deployment"],
    ["batch/v1", "Job"],
  ] as const;
  const all = await Promise.all(kinds.map(([version, kind]) => kube().list(version, kind, namespace)));
  return all
    .flatMap((list, i) => list.map((live) => ({ ...live, kind: kinds[i]![1] })))
    .filter((live) => !madeBy("CronJob", live) && readiness(live).state !== "ready")
    .map(({ kind, metadata }) => `${kind} ${metadata.name}`);
}

/** A connection to PostgreSQL, which the caller closes. Default: the database named like the user. */
export async function sql(user: string, password: string, database = user): Promise<pg.Client> {
  const client = new pg.Client({ host: await address("postgresql"), port: 5432, user, password, database });
  // The deletion of a pod breaks its connections; the next query then fails with the error.
  client.on("error", () => {});
  await client.connect();
  return client;
}

/** One query as one user. */
export async function query(user: string, password: string, text: string, database = user): Promise<unknown[]> {
  const client = await sql(user, password, database);
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

/** An S3 client with these keys, of the core's MinIO or another. */
export const s3 = async (accessKey: string, secretKey: string, endPoint?: string) =>
  new Client({
    endPoint: endPoint ?? (await address("minio")),
    port: 9000,
    useSSL: false,
    accessKey,
    secretKey,
    region: "us-east-1",
    // A server that refuses an upload closes the connection, so the next request must not reuse it.
    transportAgent: new Agent({ keepAlive: false }),
  });

/** An object's content as text. */
export async function read(client: Client, bucket: string, name: string): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of await client.getObject(bucket, name)) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

/** Names of a component's pods of a role, without those that terminate or have completed. */
export async function podsOf(component: string, role: string, namespace: string): Promise<string[]> {
  const all = await kube().list("v1", "Pod", namespace);
  return all
    .filter(({ metadata, status }) => {
      const { "app.kubernetes.io/name": name, "app.kubernetes.io/component": of } = metadata.labels ?? {};
      return name === component && of === role && !metadata.deletionTimestamp && status?.phase !== "Succeeded";
    })
    .map(({ metadata }) => metadata.name)
    .sort();
}

/** Deletes a Deployment's only pod. Waits until it is gone and its replacement is ready. */
export async function succeedPod(component: string, role: string, namespace: string): Promise<void> {
  const [before = ""] = await podsOf(component, role, namespace);
  await kube().delete(v1("Pod", before, namespace));
  const successor = await vi.waitFor(
    async () => {
      const [name] = (await podsOf(component, role, namespace)).filter((pod) => pod !== before);
      if (!name) throw new Error(`no pod follows ${before}`);
      return name;
    },
    { timeout: 60_000, interval: 500 },
  );
  await ready(successor, namespace);
  // It serves until it ends, and could still answer requests that are meant for the replacement.
  const gone = async () => expect(await get("Pod", before, namespace)).toBeUndefined();
  await vi.waitFor(gone, { timeout: 120_000, interval: 500 });
}

/** Every pod of some namespaces. */
export const podList = async (namespaces: string[]): Promise<Live[]> =>
  (await Promise.all(namespaces.map((namespace) => kube().list("v1", "Pod", namespace)))).flat();

/** The pods of workloads, without those of Jobs and CronJobs. */
export const servers = async (namespaces: string[]): Promise<Live[]> =>
  (await podList(namespaces)).filter((pod) => !madeBy("Job", pod));

/** Runs a program in a pod's container. Returns its output, and fails with it if the program fails. */
export async function runIn(pod: string, namespace: string, container: string, command: string[]): Promise<string> {
  const config = kubeConfig();
  const output = new PassThrough();
  const printed = text(output);
  const status = await new Promise<V1Status>((done, failed) => {
    new Exec(config)
      .exec(namespace, pod, container, command, output, output, null, false, done)
      .then((socket) => socket.on("error", failed), failed);
  });
  output.end();
  if (status.status !== "Success") throw new Error(`${pod}: ${status.message}\n${await printed}`);
  return printed;
}

/**
 * Makes this process resolve the cluster's names (`kafka-0.kafka-headless.test-apps.svc`) by the cluster's DNS, as a pod
 * does: for clients that get such addresses from a server. Ends with `vi.restoreAllMocks()`.
 */
export async function resolveClusterNames(): Promise<void> {
  const resolver = new names.Resolver({ timeout: 2_000, tries: 2 });
  resolver.setServers([await address("kube-dns", "kube-system")]);
  const ordinary = dns.lookup;
  type Lookup = (host: string, options: { all?: boolean }, done: (...results: unknown[]) => void) => void;
  const lookup: Lookup = (host, options, done) => {
    if (!host.endsWith(".svc")) return ordinary(host, options, done);
    const answer = ([first]: string[]) =>
      options.all ? done(null, [{ address: first, family: 4 }]) : done(null, first, 4);
    resolver.resolve4(`${host}.cluster.local`).then(answer, done);
  };
  vi.spyOn(dns, "lookup").mockImplementation(lookup as typeof dns.lookup);
}
