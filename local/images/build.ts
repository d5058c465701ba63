import { existsSync } from "node:fs";
import { cp, mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { stringify } from "smol-toml";
import { localName, localRegistry, parseReference } from "../../components/kind/reference.ts";
import { cacheDir } from "../../config/paths.ts";
import { type Say, UserError } from "../step.ts";
import { make } from "./artifacts.ts";
import { type Definition, definitionOf, folderOf } from "./definitions.ts";
import { afterEachFrom, checkDockerfile, imagesUnder, readDockerfile } from "./dockerfile.ts";
import { dockerfileOf, keyFor } from "./key.ts";
import { imageMode } from "./mode.ts";
import { run, sandboxed } from "./run.ts";
import { type Built, builtUnder, keep, push, remove, sha256 } from "./store.ts";
import { assertCanBuild, buildahVersion, installTools } from "./tools.ts";

const home = () => join(cacheDir(), "images");

/** Removes the folder after `use`, and folders that a killed process left. */
export async function withScratch<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const parent = join(home(), "work");
  await mkdir(parent, { recursive: true });
  for (const name of await readdir(parent))
    if (!isRunning(Number(name.split("-")[0]))) await remove(join(parent, name));
  const folder = join(parent, `${process.pid}-${sha256(`${Math.random()}`).slice(0, 8)}`);
  await mkdir(folder);
  try {
    return await use(folder);
  } finally {
    await remove(folder);
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** The folder that a definition is built from: its own, its Dockerfile for packages, and what the host makes for it. */
export async function withContext<T>(
  definition: Definition,
  say: Say,
  use: (context: string, scratch: string) => Promise<T>,
): Promise<T> {
  const folder = folderOf(definition);
  return withScratch(async (scratch) => {
    const context = join(scratch, "context");
    // Without the sources of Go programs and installed node modules.
    const left = [join(folder, "go"), join(folder, "node_modules")];
    await cp(folder, context, { recursive: true, filter: (path) => !left.includes(path) });
    await writeFile(join(context, "Dockerfile"), dockerfileOf(definition));
    for (const artifact of definition.artifacts ?? []) await make(artifact, folder, context, say);
    return use(context, scratch);
  });
}

/** Builds an image from packages, keeps it under its key, and pushes it. Its base images must exist. */
export async function buildFromPackages(reference: string, say: Say): Promise<Built> {
  const definition = definitionOf(reference);
  if (!definition) throw new UserError(`${reference} cannot be built from packages: it has no definition.`);
  assertCanBuild();
  const started = Date.now();
  const key = keyFor(reference);
  return withContext(definition, say, async (context, scratch) => {
    // One layer for all steps, so that a file which a step deletes is in no layer.
    const argument = definition.tagAs && `${definition.tagAs}=${parseReference(reference).tag}`;
    const { layout, output } = await bud({ context, scratch, reference, layers: false, argument }, say);
    if (!layout) throw new Error(`buildah wrote no image for ${reference}`);
    const holds = /^holds: (.*)$/m.exec(output)?.[1];
    const seconds = Math.round((Date.now() - started) / 1000);
    say("pushing to the local registry");
    const built = await keep(layout, key, { reference, holds, seconds });
    await push(reference, built.digest);
    say(`${holds ?? definition.holds}: ${seconds} s, ${Math.round(built.bytes / 1e6)} MB`);
    return built;
  });
}

/** Builds a Dockerfile and pushes it under its local name. Unchanged steps come from buildah's cache. */
export async function buildFile(
  options: { context: string; dockerfile?: string; tag: string },
  say: Say,
): Promise<{ digest: string }> {
  const started = Date.now();
  await installTools(say);
  const file = options.dockerfile ?? join(options.context, "Dockerfile");
  const { problems } = checkDockerfile(readDockerfile(file), options.context, await buildahVersion());
  if (problems.length > 0) throw new UserError(problems.map((problem) => `${file}: ${problem}`).join("\n"));
  const key = sha256(localName(options.tag)).slice(0, 32);
  const before = await builtUnder(key);
  return withScratch(async (scratch) => {
    const reference = options.tag;
    const { layout } = await bud({ ...options, scratch, reference, layers: true, before: before?.id }, say);
    const seconds = Math.round((Date.now() - started) / 1000);
    const built = layout ? await keep(layout, key, { reference, seconds }) : before;
    if (!built) throw new Error(`buildah wrote no image for ${reference}`);
    say("pushing to the local registry");
    await push(reference, built.digest);
    return { digest: built.digest };
  });
}

interface Bud {
  context: string;
  dockerfile?: string;
  reference: string;
  scratch: string;
  /** Whether each step is a layer, cached until a step before it changes; otherwise one layer for all. */
  layers: boolean;
  /** A build argument, as `NAME=value`. */
  argument?: string;
  /** The id of the last build: an equal image is not written again. */
  before?: string;
}

/** Runs buildah on a Dockerfile. Returns no `layout` if the image equals `before`. */
async function bud(options: Bud, say: Say): Promise<{ layout?: string; output: string }> {
  const { context, scratch, reference } = options;
  const text = readDockerfile(options.dockerfile ?? join(context, "Dockerfile"));
  const trusted = existsSync(hostCertificates);
  const storage = join(home(), "storage");
  await mkdir(storage, { recursive: true });
  await writeFile(join(scratch, "registries.conf"), registriesConf(imagesUnder(text)));
  await writeFile(join(scratch, "policy.json"), JSON.stringify({ default: [{ type: "insecureAcceptAnything" }] }));
  await writeFile(join(scratch, "Dockerfile"), trusted ? trusting(text) : text);
  const script = fileURLToPath(new URL("build.sh", import.meta.url));
  const output = await run(say, sandboxed(["sh", script], join(home(), "lock")), {
    name: `buildah bud --tag ${reference}`,
    hint: `If this is not about the Dockerfile, start from nothing: rm -rf ${storage}`,
    show: progress,
    env: {
      SCRATCH: scratch,
      STORAGE: storage,
      CONTEXT: context,
      IMAGE: localName(reference),
      LAYERS: `${options.layers}`,
      BEFORE: options.before ?? "",
      ARGUMENT: options.argument ?? "",
      CERTIFICATES: trusted ? `${hostCertificates}:${certificates}:ro` : "",
      TMPDIR: scratch,
      XDG_RUNTIME_DIR: scratch,
    },
  });
  const layout = join(scratch, "layout");
  return existsSync(layout) ? { layout, output } : { output };
}

/** The machine's trusted certificates, which may include a company's proxy. */
export const hostCertificates = "/etc/ssl/certs/ca-certificates.crt";
/** Mount point in a build. At the image's own path it would break `apt-get install ca-certificates`. */
export const certificates = "/run/host-certificates.crt";

/**
 * Adds an `ARG` that has pip, npm, curl, git and Go trust the machine's certificates. An `ARG` is in the environment of the
 * steps, but not of the image.
 */
export function trusting(dockerfile: string): string {
  const names = ["SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO"];
  const args = [...names, "NODE_EXTRA_CA_CERTS"].map((name) => `${name}=${certificates}`).join(" ");
  return afterEachFrom(dockerfile, `ARG ${args}`);
}

/** The progress in a line of output: the current step, or the package being installed. */
function progress(line: string): string | undefined {
  const step = /^(?:\[\d+\/\d+\] )?STEP (\d+)\/(\d+): (.*)/.exec(line);
  if (step) return `step ${step[1]} of ${step[2]}: ${step[3]}`;
  return /^(Get:\d+|writing the image|Unpacking|Setting up|Collecting|Installing|Writing)\b.*/.exec(line)?.[0];
}

/** containers-registries.conf(5): base images come from this machine's registry, then from their own, if it may be asked at all. */
export function registriesConf(images: string[], mode = imageMode()): string {
  const hosts = new Set(["docker.io", ...images.map((image) => parseReference(image).host)]);
  hosts.delete(localRegistry);
  const local = { location: localRegistry, insecure: true };
  const mirrored = [...hosts].map((prefix) =>
    mode === "packages" ? { prefix, ...local } : { prefix, location: prefix, mirror: [local] },
  );
  return stringify({
    "unqualified-search-registries": ["docker.io"],
    "short-name-mode": "permissive",
    registry: [...mirrored, local],
  });
}
