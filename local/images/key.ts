import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseReference } from "../../components/kind/reference.ts";
import { moduleOf, pinsOf } from "../cluster/binaries.ts";
import { debianSources, hostSources } from "./apt.ts";
import { type Artifact, type Definition, definitionOf, folderOf } from "./definitions.ts";
import { imagesUnder } from "./dockerfile.ts";
import { sha256 } from "./store.ts";

/** Increase it when this code builds the same definition into another image. */
const generation = 1;

/**
 * The Dockerfile that buildah builds a definition from. In the Dockerfile of an own image, the stage `artifacts` downloads or
 * compiles what is not in a Debian package. Here the host makes that, and the stage only copies it.
 */
export function dockerfileOf(definition: Definition): string {
  const text = readFileSync(join(folderOf(definition), "Dockerfile"), "utf8");
  const outputs = (definition.artifacts ?? []).map(({ output }) => `COPY ${output} /${output}\n`);
  return text.replace(/^FROM \S+ AS artifacts\n.*?(?=^FROM )/ms, `FROM scratch AS artifacts\n${outputs.join("")}`);
}

/** Folders that tools write while someone works on an application: installed packages, caches and compiled files. */
const isMade = (name: string): boolean => /^(node_modules|__pycache__|\..*)$/.test(name);

/** Every file under a folder by its relative path, with the hash of its content; without folders that tools write. */
export function filesIn(folder: string, inside = ""): [string, string][] {
  return readdirSync(join(folder, inside), { withFileTypes: true })
    .filter((entry) => !(entry.isDirectory() && isMade(entry.name)))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry): [string, string][] => {
      const path = join(inside, entry.name);
      return entry.isDirectory() ? filesIn(folder, path) : [[path, sha256(readFileSync(join(folder, path)))]];
    });
}

/** What decides a key, in addition to the image's name. */
export interface Ingredients {
  files: [string, string][];
  artifacts: readonly Artifact[];
  /** The keys of the images it builds upon. */
  under: string[];
  /** The Debian mirrors of an image that is made from Debian packages directly. */
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
 * The key of an image that is built from packages. It changes with the definition, name, base image or mirror. It does not
 * change with newer packages: an image is used until its definition changes or the cache is emptied.
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
