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
 * What the cluster tests are written with: this project's own command line, a connection to the cluster it made, and
 * the ordinary clients of the servers that run there.
 */

/** Namespace of the core of the stack that the tests of the core run on. */
export const core = "dev-core";

/** The stack with every part: `test`, or the one that `TEST_STACK` names and that runs already. */
const wholeName = process.env.TEST_STACK ?? "test";
/** Its namespaces. */
export const whole = { core: `${wholeName}-core`, apps: `${wholeName}-apps`, monitoring: `${wholeName}-monitoring` };

/**
 * The stack with every part: `test` with monitoring, and `changes` as in `stackFile`. Without Grafana, whose image no
 * package holds.
 */
export const wholeFile = (changes = "{}"): string =>
  stackFile("test", stringify({ monitoring: { enabled: true, grafana: { enabled: false } }, ...parse(changes) }));

/** Starts the cluster, where only this stack may be: one node has no room for two. */
export async function roomFor(stack: "dev" | "test" | undefined): Promise<void> {
  // What runs already is not ours to take away.
  if (process.env.TEST_STACK) return;
  await mustRun(["cluster", "up"]);
  for (const other of ["dev", "test"]) if (other !== stack) await mustRun(["destroy", "--stack", other]);
}

/** Brings up the stack with every part; where it is up already, that changes nothing. */
export async function wholeStack(): Promise<void> {
  if (process.env.TEST_STACK) return;
  // What did not come up for one file will not for the next, and each would wait for it as long.
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

/** The stack of the core and the applications: `dev`, or the one that `TEST_STACK` names and that runs already. */
const smallName = process.env.TEST_STACK ?? "dev";
export const small = {
  stack: smallName,
  core: `${smallName}-core`,
  apps: `${smallName}-apps`,
  deployed: `${smallName}-deployed`,
};

/** For `stackFile`: leaves out the applications, where a test is about what lies below them. */
export const withoutApplications = `
noetl: { enabled: false }
polls: { enabled: false }
webApp: { enabled: false }
deployd: { enabled: false }`;

/** Brings up the stack of the core and the applications; where it is up already, that changes nothing. */
export async function smallStack(): Promise<void> {
  if (process.env.TEST_STACK) return;
  await roomFor("dev");
  await mustRun(["up", "--stack", small.stack]);
}

let connection: Kube | undefined;
export function kube(): Kube {
  connection ??= Kube.load({ kubeconfig: kubeconfigPath() });
  return connection;
}

/** Runs `./platform …` to its end. The exit code is the caller's to look at. */
export const platform = (args: string[], options: Options = {}) =>
  execa("./platform", args, { reject: false, all: true, stdin: "ignore", ...options });

/** Runs `./platform …` and fails with everything it printed when it fails. */
export async function mustRun(args: string[], options: Options = {}): Promise<string> {
  const { exitCode, all } = await platform(args, options);
  if (exitCode !== 0) throw new Error(`./platform ${args.join(" ")} ended with ${exitCode}:\n${all}`);
  return String(all);
}

/** What `up` says at its end when it found nothing to do. */
export const unchanged = /^\d+ unchanged$/m;

/** Runs `./platform …`, and sends it a signal after some milliseconds. To `all`: also to everything that it has started. */
export async function interrupted(args: string[], signal: "SIGINT" | "SIGKILL", after: number, all = false) {
  // A process group of its own, for the signal to reach it and no one else.
  const run = platform(args, { detached: true });
  const send = () => {
    if (!all || !run.pid) run.kill(signal);
    else if (run.exitCode === null && run.signalCode === null) process.kill(-run.pid, signal);
  };
  const timer = setTimeout(send, after);
  const { exitCode, signal: endedBy, all: printed } = await run;
  clearTimeout(timer);
  return { exitCode, endedBy, printed: String(printed) };
}

/** A stack file with changes (YAML, keyed by part) laid over the stack's own: for `--config-file`. */
export function stackFile(stack: string, changes: string): string {
  const { config } = parse(readFileSync(`Pulumi.${stack}.yaml`, "utf8")) as { config: Record<string, object> };
  for (const [part, change] of Object.entries(parse(changes) as Record<string, object>)) {
    const key = `data-platform:${part}`;
    config[key] = { ...config[key], ...change };
  }
  const file = join(mkdtempSync(join(tmpdir(), "stack-")), `Pulumi.${stack}.yaml`);
  writeFileSync(file, stringify({ config }));
  return file;
}

/** A stack file of `dev` with these parts alone, and changes to each. */
export const fileOfParts = (parts: Record<string, object>): string => {
  const all = Object.entries(parseConfig("dev", {})).filter(([, block]) => "enabled" in block);
  return stackFile(
    "dev",
    stringify({ ...Object.fromEntries(all.map(([part]) => [part, { enabled: false }])), ...parts }),
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

/** Whether a service account may do something, as the API server itself answers. */
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

/** A Secret's values, decoded. */
export async function secret(name: string, namespace = core): Promise<Record<string, string>> {
  const { data = {} } = ((await get("Secret", name, namespace)) ?? {}) as { data?: Record<string, string> };
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value, "base64").toString()]));
}

/** Address of a Service's port on this machine: the cluster's own network reaches it. */
export async function address(service: string, namespace = core): Promise<string> {
  return (await get("Service", service, namespace))!.spec.clusterIP as string;
}

/** Every pod of a namespace by name, with what tells one life of it from the next. */
export async function pods(namespace = core): Promise<Record<string, string>> {
  const all = await kube().list("v1", "Pod", namespace);
  return Object.fromEntries(all.map(({ metadata }) => [metadata.name, metadata.uid as string]));
}

/** Deletes a pod and waits until its successor is ready. */
export async function replacePod(name: string, namespace = core): Promise<void> {
  const before = (await get("Pod", name, namespace))!.metadata.uid;
  await kube().delete(v1("Pod", name, namespace));
  await ready(name, namespace, before as string);
}

/** Waits until the core's Services lead to their pods. */
export async function reachable(): Promise<void> {
  const ports = { postgresql: 5432, redis: 6379, minio: 9000 };
  await Promise.all(Object.entries(ports).map(([service, port]) => leadsToPods(service, port)));
}

/**
 * Waits until a Service leads to its pods: the node's rules follow a pod's readiness by a moment. It asks at the
 * cluster's address, to which the rules come together with those of a port of the node's. Asking there would spoil the
 * port: the kernel remembers for two minutes that a connection without a pod led nowhere, and refuses the next one
 * that happens to come from the same source port.
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

/** Waits until a pod is ready, and not the one with this UID. */
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

/** What is not ready of the workloads and Jobs of a namespace, but for what a CronJob does at its hour. */
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

/** A connection to PostgreSQL; its end is the caller's. Default: the database that is named like the user. */
export async function sql(user: string, password: string, database = user): Promise<pg.Client> {
  const client = new pg.Client({ host: await address("postgresql"), port: 5432, user, password, database });
  // A pod that is deleted takes its connections along; what follows from that, the queries say.
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
    // A server that refuses an upload closes the connection, which must not be the next request's.
    transportAgent: new Agent({ keepAlive: false }),
  });

/** An object's contents as text. */
export async function read(client: Client, bucket: string, name: string): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of await client.getObject(bucket, name)) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

/** Names of a component's pods that are not on their way out. */
export async function podsOf(part: string, component: string, namespace: string): Promise<string[]> {
  const all = await kube().list("v1", "Pod", namespace);
  return all
    .filter(({ metadata, status }) => {
      const { "app.kubernetes.io/name": name, "app.kubernetes.io/component": piece } = metadata.labels ?? {};
      return name === part && piece === component && !metadata.deletionTimestamp && status?.phase !== "Succeeded";
    })
    .map(({ metadata }) => metadata.name)
    .sort();
}

/** Deletes the one pod of a Deployment's component and waits until it is gone and its successor is ready. */
export async function succeedPod(part: string, component: string, namespace: string): Promise<void> {
  const [before = ""] = await podsOf(part, component, namespace);
  await kube().delete(v1("Pod", before, namespace));
  const successor = await vi.waitFor(
    async () => {
      const [name] = (await podsOf(part, component, namespace)).filter((pod) => pod !== before);
      if (!name) throw new Error(`no pod follows ${before}`);
      return name;
    },
    { timeout: 60_000, interval: 500 },
  );
  await ready(successor, namespace);
  // It serves on for a while, and would answer in the successor's place.
  const gone = async () => expect(await get("Pod", before, namespace)).toBeUndefined();
  await vi.waitFor(gone, { timeout: 120_000, interval: 500 });
}

/** Every pod of some namespaces. */
export const podList = async (namespaces: string[]): Promise<Live[]> =>
  (await Promise.all(namespaces.map((namespace) => kube().list("v1", "Pod", namespace)))).flat();

/** The pods that serve: those of a Job come and go, and those of a CronJob at any hour. */
export const servers = async (namespaces: string[]): Promise<Live[]> =>
  (await podList(namespaces)).filter((pod) => !madeBy("Job", pod));

/** Runs a program in a pod's container and returns what it printed; fails with that when the program does. */
export async function runIn(pod: string, namespace: string, container: string, command: string[]): Promise<string> {
  const config = new KubeConfig();
  config.loadFromFile(kubeconfigPath());
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
 * Has this process find the cluster's names (`kafka-0.kafka-headless.test-apps.svc`) as a pod does, by asking the
 * cluster's own name server: for clients that are told by a server where to go on. Ends with `vi.restoreAllMocks()`.
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
