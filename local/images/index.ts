/**
 * Images for the local cluster. If their registry can be reached, containerd pulls the official ones. Otherwise each image
 * with a definition is built from packages, with the real software at the official image's paths and user ids, and pushed
 * to the local registry under the official name.
 */
import { join } from "node:path";
import { type Say, type Step, UserError } from "../step.ts";
import { buildFile, buildFromPackages } from "./build.ts";
import { definitionOf, definitions, isOwn } from "./definitions.ts";
import { buildByDocker, buildFileByDocker } from "./docker.ts";
import { checkDockerfile, imagesUnder, readDockerfile } from "./dockerfile.ts";
import { dockerfileOf, keyFor } from "./key.ts";
import { canBePulled, imageMode } from "./mode.ts";
import { localName, localRegistry, parseReference } from "./reference.ts";
import { allBuilt, blobDir, builtUnder, push, servedDigest } from "./store.ts";
import { buildahVersion, toolsStep } from "./tools.ts";

export { blobDir, buildahVersion, checkDockerfile, definitionOf, definitions, localName, readDockerfile };

/** Whether the local registry serves an image: one with a definition in the build of its key, any other under its name. */
async function isServed(reference: string): Promise<boolean> {
  const served = await servedDigest(reference).catch(() => undefined);
  if (!served || !definitionOf(reference)) return served !== undefined;
  return served === (await builtUnder(keyFor(reference)))?.digest;
}

/** Whether an image can be pulled from its registry. The platform's own images are in none. */
const comesFromItsRegistry = async (reference: string): Promise<boolean> =>
  !isOwn(reference) && (await canBePulled(reference));

/** Whether an image has to be built: neither in reach nor built before. */
async function isMissing(reference: string): Promise<boolean> {
  if (definitionOf(reference) && (await builtUnder(keyFor(reference)))) return false;
  return !(await comesFromItsRegistry(reference));
}

/** Why an image that cannot be pulled cannot be built from packages either. */
function notProvided(reference: string): string | undefined {
  const { host, digest } = parseReference(reference);
  if (!definitionOf(reference)) {
    const known = [...new Set(definitions.flatMap((d) => d.repositories))].join(", ");
    return `${reference} cannot be pulled (${host} is out of reach), and cannot be built from packages. These can: ${known}.`;
  }
  return digest
    ? `${reference} is pinned by digest, which no image built from packages has. Name it by tag.`
    : undefined;
}

/** Why a Dockerfile's base images cannot be had, one sentence for each that can neither be pulled nor built. */
export async function missingBases(dockerfile: string): Promise<string[]> {
  const reasons = await Promise.all(
    basesOf(dockerfile).map(async (image) => ((await comesFromItsRegistry(image)) ? undefined : notProvided(image))),
  );
  return reasons.filter((reason) => reason !== undefined);
}

/** A Dockerfile's base images, without those of the local registry. */
const basesOf = (dockerfile: string): string[] =>
  imagesUnder(dockerfile).filter((image) => parseReference(image).host !== localRegistry);

/** Pushes an image to the local registry: from the cache, or built now. */
async function provide(reference: string, say: Say): Promise<void> {
  const reason = notProvided(reference);
  if (reason) throw new UserError(reason);
  const key = keyFor(reference);
  const built = await builtUnder(key);
  if (!built) {
    // Dockerfiles that are built at the same time share the build of their base image.
    if (!underWay.has(key))
      underWay.set(
        key,
        buildFromPackages(reference, say).finally(() => underWay.delete(key)),
      );
    await underWay.get(key);
    return;
  }
  say("pushing to the local registry");
  await push(reference, built.digest);
}

/** Running builds, by key. */
const underWay = new Map<string, Promise<unknown>>();

/** The base images of an image that is built from packages. */
function under(reference: string): string[] {
  const definition = definitionOf(reference);
  return definition ? imagesUnder(dockerfileOf(definition)) : [];
}

/** Images with their base images, each once and after its base images. */
export const inOrder = (names: string[]): string[] => [
  ...new Set(names.flatMap((name) => [...inOrder(under(name)), name])),
];

const titleOf = (reference: string): string => {
  const definition = definitionOf(reference);
  if (!definition) return `Image ${reference}`;
  return `Image ${reference} (${definition.own ? "" : "from packages: "}${definition.holds})`;
};

/**
 * Steps that make every named image available to the local cluster: nothing when the local registry serves it under
 * its key, nothing when the real one can be pulled, else built from packages. Names are full references, as in the
 * manifests. The local registry must be running.
 */
export function ensureImages(names: string[]): Step[] {
  const anyMissing = async (among: string[]) => (await Promise.all(among.map(isMissing))).includes(true);
  const step = (reference: string): Step => ({
    title: titleOf(reference),
    skip: async () => {
      if (await isServed(reference)) return "in the local registry";
      if (await comesFromItsRegistry(reference)) return `comes from ${parseReference(reference).host}`;
      if (names.includes(reference)) return false;
      const above = names.filter((name) => inOrder([name]).includes(reference));
      return (await anyMissing(above)) ? false : "nothing has to be built on it";
    },
    run: (say) => provide(reference, say),
  });
  return [toolsStep(() => anyMissing(names)), ...inOrder(names).map(step)];
}

/**
 * The same where Docker runs: it builds the platform's own images, from official ones or, where those are out of reach,
 * from images made from packages; unless all are to be made from packages.
 */
export function ensureImagesByDocker(names: string[]): Step[] {
  if (imageMode() === "packages") return ensureImages(names);
  const own = names.filter(isOwn);
  return [
    ...ensureImages(names.filter((name) => !own.includes(name))),
    ...own.map((reference) => ({
      title: titleOf(reference),
      run: (say: Say) => buildByDocker(reference, provideBy(say), say),
    })),
  ];
}

/**
 * Builds a Dockerfile and puts the image into the local registry as `localName(tag)`: `byDocker`, or without a daemon.
 * What it starts from comes from its registry, or is built from packages first. `dockerfile` is `<context>/Dockerfile` by
 * default.
 */
export async function buildDockerfile(
  options: { context: string; dockerfile?: string; tag: string; byDocker?: boolean },
  say: Say,
): Promise<{ digest: string }> {
  if (options.byDocker && imageMode() !== "packages") {
    await buildFileByDocker(options, provideBy(say), say);
    const digest = await servedDigest(options.tag);
    if (!digest) throw new UserError(`The local registry does not have ${options.tag} after Docker pushed it.`);
    return { digest };
  }
  const dockerfile = readDockerfile(options.dockerfile ?? join(options.context, "Dockerfile"));
  await runSteps(ensureImages(basesOf(dockerfile)), say);
  return buildFile(options, say);
}

const provideBy = (say: Say) => (images: string[]) => runSteps(ensureImages(images), say);

async function runSteps(steps: Step[], say: Say): Promise<void> {
  for (const step of steps) if (!(await step.skip?.())) await step.run(say);
}

/** Pushes every image that was built before to a registry that was emptied or restarted. */
export async function refillRegistry(): Promise<void> {
  const there = new Set<string>();
  for (const { reference, digest } of await allBuilt()) {
    if ((await servedDigest(reference)) !== digest) await push(reference, digest, there);
  }
}
