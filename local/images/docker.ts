import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { type Say, UserError } from "../step.ts";
import { certificates, hostCertificates, trusting, withContext } from "./build.ts";
import { buildArguments, type Definition, definitionOf, folderOf } from "./definitions.ts";
import { imagesUnder, readDockerfile, rewritten } from "./dockerfile.ts";
import { dockerfileOf } from "./key.ts";
import { canBePulled } from "./mode.ts";
import { localName } from "./reference.ts";
import { run } from "./run.ts";

/**
 * The images that one of the platform's own is built upon and that no registry but the local one has. There are none
 * where all that its Dockerfile names can be pulled.
 */
export async function basesForDocker(reference: string): Promise<string[]> {
  const definition = definitionFor(reference);
  const named = imagesUnder(readDockerfile(join(folderOf(definition), "Dockerfile")));
  if ((await Promise.all(named.map((image) => canBePulled(image)))).every(Boolean)) return [];
  return imagesUnder(dockerfileOf(definition));
}

/**
 * Has Docker build one of the platform's own images and push it to the local registry. It is done at every run: where
 * nothing has changed, BuildKit's cache has all of it. What it is built upon comes from its registry, or all of it from
 * the local one, which has it then.
 */
export async function buildByDocker(reference: string, say: Say): Promise<void> {
  const definition = definitionFor(reference);
  await assertBuildKit();
  const bases = await basesForDocker(reference);
  if (bases.length === 0) await build(definition, reference, folderOf(definition), [], say);
  else
    await withContext(definition, say, async (context, scratch) => {
      const trust = existsSync(hostCertificates);
      const names = new Map(bases.map((base) => [base, localName(base)]));
      const mount = trust ? `--mount=type=secret,id=certificates,target=${certificates},mode=0444` : "";
      const dockerfile = rewritten(readDockerfile(join(context, "Dockerfile")), names, mount);
      const file = join(scratch, "Dockerfile");
      await writeFile(file, trust ? trusting(dockerfile) : dockerfile);
      // A secret is in no layer: the image trusts what it did before.
      const secret = trust ? [`--secret=id=certificates,src=${hostCertificates}`] : [];
      await build(definition, reference, context, [`--file=${file}`, ...secret], say);
    });
  say("pushing to the local registry");
  await run(say, ["docker", "push", "--quiet", localName(reference)]);
}

async function build(definition: Definition, reference: string, context: string, flags: string[], say: Say) {
  const args = Object.entries(buildArguments(definition, reference)).map(
    ([key, value]) => `--build-arg=${key}=${value}`,
  );
  const options = { env: { DOCKER_BUILDKIT: "1" }, show: (line: string) => /^#\d+ (\[.*)/.exec(line)?.[1] };
  const command = ["docker", "build", "--progress=plain", "--tag", localName(reference), ...args, ...flags, context];
  await run(say, command, options);
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
