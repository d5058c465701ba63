import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { moduleOf, pinsOf } from "../cluster/binaries.ts";
import { debianSources, hostSources } from "./apt.ts";
import { type Artifact, type Definition, definitionOf, folderOf } from "./definitions.ts";
import { imagesUnder } from "./dockerfile.ts";
import { parseReference } from "./reference.ts";
import { sha256 } from "./store.ts";

/** Goes up when the same definition would be built into something else by this code. */
const generation = 1;

/**
 * The Dockerfile that a definition is built from. One of the platform's own has a stage `artifacts`, in which Docker gets
 * what no package of the base holds; here that comes from the host, and the stage merely takes it up.
 */
export function dockerfileOf(definition: Definition): string {
  const text = readFileSync(join(folderOf(definition), "Dockerfile"), "utf8");
  const outputs = (definition.artifacts ?? []).map(({ output }) => `COPY ${output} /${output}\n`);
  return text.replace(/^FROM \S+ AS artifacts\n.*?(?=^FROM )/ms, `FROM scratch AS artifacts\n${outputs.join("")}`);
}

/** Every file under a folder, by its path in it, with a hash of what it holds; but for what npm installed there. */
export function filesIn(folder: string, inside = ""): [string, string][] {
  return readdirSync(join(folder, inside), { withFileTypes: true })
    .filter(({ name }) => name !== "node_modules")
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry): [string, string][] => {
      const path = join(inside, entry.name);
      return entry.isDirectory() ? filesIn(folder, path) : [[path, sha256(readFileSync(join(folder, path)))]];
    });
}

/** What a key is made of, beside the name of the image. */
export interface Ingredients {
  files: [string, string][];
  artifacts: readonly Artifact[];
  /** The keys of the images it builds upon. */
  under: string[];
  /** Where Debian's packages come from, for an image that is made of them directly. */
  sources: string[];
}

export const keyOf = (reference: string, ingredients: Ingredients): string => {
  const { path, tag } = parseReference(reference);
  return sha256(JSON.stringify([generation, process.arch, path, tag, ingredients])).slice(0, 32);
};

/** The sources a Debian artifact is made from on this machine. */
export const sourcesFor = (artifact: Artifact): string[] =>
  artifact.kind === "debian" ? debianSources(hostSources(), artifact.suite) : [];

/** What pins an artifact that `../cluster/go` builds or downloads. */
const pinsFor = (artifact: Artifact): [string, string][] =>
  artifact.kind === "binaries"
    ? pinsOf(artifact.names).flatMap((folder) => filesIn(folder))
    : artifact.kind === "module"
      ? filesIn(moduleOf(artifact.pins))
      : [];

/**
 * The key of the stand-in for an image: another definition, name, base or mirror makes another key, the same ones the
 * same. Newer packages do not: what was built stays until its definition changes or the cache is emptied.
 */
export function keyFor(reference: string): string {
  const definition = definitionOf(reference);
  if (!definition) return keyOf(reference, { files: [], artifacts: [], under: [], sources: [] });
  const folder = folderOf(definition);
  const artifacts = definition.artifacts ?? [];
  return keyOf(reference, {
    files: [...filesIn(folder), ...artifacts.flatMap(pinsFor)],
    artifacts,
    under: imagesUnder(dockerfileOf(definition)).map(keyFor),
    sources: artifacts.flatMap(sourcesFor),
  });
}
