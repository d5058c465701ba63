import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { localName, localRegistry, parseReference } from "../../components/kind/reference.ts";
import { type Say, UserError } from "../step.ts";
import { certificates, hostCertificates, trusting, withContext, withScratch } from "./build.ts";
import { buildArguments, type Definition, definitionOf, folderOf } from "./definitions.ts";
import { imagesUnder, readDockerfile, rewritten } from "./dockerfile.ts";
import { dockerfileOf } from "./key.ts";
import { canBePulled } from "./mode.ts";
import { run } from "./run.ts";

/** What Docker builds an image from. */
interface Source {
  context: string;
  /** The Dockerfile's text. */
  dockerfile: string;
  /** Where it is in a file. */
  file: string;
  /** Build arguments. */
  args: Record<string, string>;
}

/** The images among `images` that only the local registry can have. */
async function unreachable(images: string[]): Promise<string[]> {
  const reachable = await Promise.all(images.map((image) => canBePulled(image)));
  return images.filter((image, i) => !reachable[i] && parseReference(image).host !== localRegistry);
}

/**
 * Has Docker build one of the platform's own images and push it to the local registry. It is done at every run: where
 * nothing has changed, BuildKit's cache has all of it. Where an image that its Dockerfile names is out of reach, it is
 * built upon images of the local registry, after `provide` has put them there, and the host makes what no package of
 * theirs holds.
 */
export async function buildByDocker(reference: string, provide: (images: string[]) => Promise<void>, say: Say) {
  const definition = definitionFor(reference);
  await assertBuildKit();
  const args = buildArguments(definition, reference);
  const source = (context: string): Source => {
    const file = join(context, "Dockerfile");
    return { context, file, dockerfile: readDockerfile(file), args };
  };
  const own = source(folderOf(definition));
  if ((await unreachable(imagesUnder(own.dockerfile))).length === 0) return build(reference, own, say);
  const bases = imagesUnder(dockerfileOf(definition));
  await provide(bases);
  return withContext(definition, say, (context) => buildUpon(bases, reference, source(context), say));
}

/**
 * The same for a Dockerfile of someone's own. Of its images only those that are out of reach come from the local
 * registry.
 */
export async function buildFileByDocker(
  { context, dockerfile, tag }: { context: string; dockerfile?: string; tag: string },
  provide: (images: string[]) => Promise<void>,
  say: Say,
): Promise<void> {
  await assertBuildKit();
  const file = dockerfile ?? join(context, "Dockerfile");
  const source = { context, file, dockerfile: readDockerfile(file), args: {} };
  const bases = await unreachable(imagesUnder(source.dockerfile));
  if (bases.length === 0) return build(tag, source, say);
  await provide(bases);
  return buildUpon(bases, tag, source, say);
}

/** Builds with `bases` from the local registry, and with this machine's trust: so it reaches what this machine does. */
async function buildUpon(bases: string[], reference: string, source: Source, say: Say): Promise<void> {
  const trusted = existsSync(hostCertificates);
  const names = new Map(bases.map((base) => [base, localName(base)]));
  // A secret is in no layer: the image trusts what its base does.
  const mount = trusted ? `--mount=type=secret,id=certificates,target=${certificates},mode=0444` : undefined;
  const dockerfile = rewritten(source.dockerfile, names, mount);
  await withScratch(async (scratch) => {
    const file = join(scratch, "Dockerfile");
    await writeFile(file, trusted ? trusting(dockerfile) : dockerfile);
    const flags = trusted ? [`--secret=id=certificates,src=${hostCertificates}`] : [];
    await build(reference, { ...source, file }, say, flags);
  });
}

async function build(reference: string, { context, file, args }: Source, say: Say, flags: string[] = []) {
  const name = localName(reference);
  const values = Object.entries(args).map(([key, value]) => `--build-arg=${key}=${value}`);
  const options = { env: { DOCKER_BUILDKIT: "1" }, show: (line: string) => /^#\d+ (\[.*)/.exec(line)?.[1] };
  const command = ["docker", "build", "--progress=plain", "--tag", name, "--file", file, ...values, ...flags, context];
  await run(say, command, options);
  say("pushing to the local registry");
  await run(say, ["docker", "push", "--quiet", name]);
}

/** Since Docker 23 its command builds by a plugin, which can be missing. */
async function assertBuildKit(): Promise<void> {
  const { stdout } = await execa("docker", ["version", "--format", "{{.Client.Version}}"], { reject: false });
  const [version, major] = /^(\d+)[.\d]*/.exec(stdout ?? "") ?? [];
  if (version === undefined || Number(major) < 23) return;
  if (!(await execa("docker", ["buildx", "version"], { reject: false })).failed) return;
  throw new UserError(
    `docker ${version} has no plugin buildx, which builds the platform's own images: install docker-buildx-plugin ` +
      "(Debian and Ubuntu: docker-buildx), or have them built without Docker by PLATFORM_IMAGES=packages",
  );
}

function definitionFor(reference: string): Definition {
  const definition = definitionOf(reference);
  if (!definition) throw new Error(`${reference} has no definition`);
  return definition;
}
