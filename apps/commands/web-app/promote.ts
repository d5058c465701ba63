import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { createInterface } from "node:readline/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { createTwoFilesPatch } from "diff";
import { isScalar, parse, parseDocument } from "yaml";
import { keyIn, write } from "../../../cli/edit.ts";
import { evaluateRedacted, type Outputs, outputsOf, stackFile } from "../../../cli/project.ts";
import { connect, targetOf } from "../../../cli/target.ts";
import { redisImage } from "../../../components/redis/schema.ts";
import { semanticVersion, webAppImage } from "../../../components/web-app/schema.ts";
import { parseImage, tagOf } from "../../../config/images.ts";
import type { Kube } from "../../../kube/client.ts";
import { readiness } from "../../../kube/ready.ts";
import { UserError } from "../../../local/step.ts";
import { type KubeObject, manifests, titleOf } from "../../../render/manifests.ts";
import { ConfigError, type StackFile } from "../../../render/stack.ts";

export interface PromoteOptions {
  from: string;
  to: string;
  fromFile?: string;
  toFile?: string;
  context?: string;
  yes: boolean;
}

/** The web app's images: key in its block of the stack file, default, and the roles of the pods that run it. */
const promoted = [
  { path: ["image"], byDefault: webAppImage, roles: ["flask", "worker"] },
  { path: ["redis", "image"], byDefault: redisImage, roles: ["redis"] },
];
type Promoted = (typeof promoted)[number];

/**
 * Writes the image versions that one stack runs into another stack's file, after checks in the first. Changes nothing
 * else.
 */
export async function promote(options: PromoteOptions): Promise<void> {
  const { yes } = options;
  const from = stackFile(options.from, options.fromFile);
  const to = stackFile(options.to, options.toFile);
  if (from.path === to.path) throw new ConfigError(`--to: found ${options.to}; expected another stack than --from`);
  const evaluation = await evaluateRedacted(from, options.context);
  const endpoint = outputsOf(evaluation).endpoints["web-app"];
  if (!endpoint) throw new ConfigError(`stack ${from.stack}: webApp.enabled: found false; expected true`);
  const kube = await connect(await targetOf(from, options.context));

  const workloads = manifests(evaluation)
    .map(({ object }) => object)
    .filter(({ kind, metadata }) => kind === "Deployment" && metadata.labels?.["app.kubernetes.io/name"] === "web-app");
  const running: { of: Promoted; image: string }[] = [];
  for (const of of promoted) running.push({ of, image: await runningImage(kube, workloads, of.roles) });
  for (const { of, image } of running) console.log(`${from.stack} runs ${image} (${of.roles.join(", ")})`);
  await check(kube, endpoint);

  const before = readFileSync(to.path, "utf8");
  const after = running.reduce((text, { of, image }) => promotedIn(text, to, of, image), before);
  const name = basename(to.path);
  if (after === before) return console.log(`${name}: has these versions already`);
  console.log(`\n${createTwoFilesPatch(name, name, before, after, "", "", { context: 2 }).replace(/^=+\n/, "")}`);
  if (!yes && !(await agrees(`Write this into ${to.path}?`))) return console.log("nothing was written");
  if (readFileSync(to.path, "utf8") !== before)
    throw new UserError(`${to.path}: someone has changed it meanwhile; nothing was written, run this again`);
  write(to.path, after);
  console.log(`${name}: written; \`./platform up --stack ${to.stack}\` rolls it out`);
}

/** The image of these pods of the web app, which must be the same in all of them, and ready. */
export async function runningImage(kube: Pick<Kube, "get">, workloads: KubeObject[], roles: string[]): Promise<string> {
  const found = await Promise.all(
    roles.map(async (role) => {
      const workload = workloads.find(({ metadata }) => metadata.labels?.["app.kubernetes.io/component"] === role);
      if (!workload) throw new Error(`the program has no Deployment of the web app with the role ${role}`);
      const live = await kube.get(workload);
      if (!live) throw new UserError(`${titleOf(workload)}: not in the cluster; only what runs can be promoted`);
      const state = readiness(live);
      if (state.state !== "ready")
        throw new UserError(`${titleOf(workload)}: ${state.why}; only what is ready can be promoted`);
      return { title: titleOf(workload), image: live.spec.template.spec.containers[0].image as string };
    }),
  );
  const [{ title, image }] = found as [(typeof found)[0]];
  const other = found.find((one) => one.image !== image);
  if (other)
    throw new UserError(
      `${other.title}: runs ${other.image} and ${title} runs ${image}; expected one version: wait until the upgrade is done`,
    );
  if (!semanticVersion.test(tagOf(image)))
    throw new UserError(
      `${title}: runs ${image}; expected an image with a semantic version as its tag, such as 1.2.3: nothing else is promoted`,
    );
  return image;
}

/** The checks: Redis answers, and a job passes through the queue and a worker with the correct result. */
async function check(kube: Kube, endpoint: Outputs["endpoints"][string]): Promise<void> {
  const ask = async <T>(path: string, body?: unknown): Promise<T> => {
    try {
      return (await kube.ask(endpoint, path, body)) as T;
    } catch (error) {
      throw new UserError(`check failed: ${path}: ${(error as Error).message}`);
    }
  };
  const { status } = await ask<{ status: string }>("/healthz");
  if (status !== "ok") throw new UserError(`check failed: /healthz says ${status}`);
  const { id } = await ask<{ id: string }>("/jobs", { kind: "statistics", values: [1, 2, 6] });
  type Answer = { status: string; results?: { mean: number } };
  for (const deadline = Date.now() + 60_000; ; await sleep(500)) {
    const { status, results } = await ask<Answer>(`/jobs/${id}/results`);
    if (results?.mean === 3) break;
    if (results) throw new UserError(`check failed: job ${id}: found ${JSON.stringify(results)}; expected the mean 3`);
    if (Date.now() > deadline) throw new UserError(`check failed: job ${id} is still ${status} after a minute`);
  }
  console.log("checks passed: /healthz, and a job with the correct result");
}

/** A stack file's text with this version of an image; unchanged if it has it already. */
export function promotedIn(text: string, { project, path: file }: StackFile, of: Promoted, image: string): string {
  const document = parseDocument(text);
  const path = ["config", keyIn(document, { project }, "webApp"), ...of.path];
  const node = document.getIn(path, true);
  const before = isScalar(node) && typeof node.value === "string" ? node.value : of.byDefault;
  const after = withVersion(before, image);
  if (after === before) return text;
  let result: string;
  if (isScalar(node) && node.range) {
    // Only the value is replaced; the rest of the file keeps its format.
    const [start, end] = node.range;
    const quote = /^["']/.exec(text.slice(start, end))?.[0] ?? "";
    result = text.slice(0, start) + quote + after + quote + text.slice(end);
  } else {
    const options = { lineWidth: 0 };
    const asItIs = document.toString(options);
    document.setIn(path, after);
    result = document.toString(options);
    if (asItIs !== text) result = "";
  }
  const expected = parseDocument(text);
  expected.setIn(path, after);
  if (!isDeepStrictEqual(parse(result), expected.toJS()))
    throw new ConfigError(
      `${basename(file)}: ${path.join(" → ")}: cannot be written without changing how the file is laid out; expected it to be there: add ${after} by hand`,
    );
  return result;
}

/** The image `before` with the version of `running`. Throws if they are different software. */
function withVersion(before: string, running: string): string {
  const found = parseImage(running);
  const last = (path = "") => path.slice(path.lastIndexOf("/") + 1);
  if (!found || last(parseImage(before)?.repository) !== last(found.repository))
    throw new UserError(`found ${running}; expected a version of ${before}: other software is not promoted`);
  const name = before.replace(/@sha256:[0-9a-f]+$/, "").replace(/:[\w.-]+$/, "");
  const { tag, digest } = found;
  return `${name}:${tag}${digest ? `@${digest}` : ""}`;
}

async function agrees(question: string): Promise<boolean> {
  if (!process.stdin.isTTY)
    throw new ConfigError(
      "--yes: not given, and standard input is no terminal to ask on; expected --yes to write without asking",
    );
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  try {
    return /^y(es)?$/i.test((await terminal.question(`${question} [y/N] `)).trim());
  } finally {
    terminal.close();
  }
}
