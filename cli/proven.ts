import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { componentOf, registry } from "../components/registry.ts";
import { cacheDir } from "../config/paths.ts";
import { definitionOf } from "../local/images/index.ts";
import { keyFor } from "../local/images/key.ts";
import type { Evaluation } from "../render/evaluate.ts";
import { type KubeObject, manifests } from "../render/manifests.ts";
import { evaluateRedacted, root, stackFile } from "./project.ts";
import { imagesOf } from "./up.ts";

/*
 * Passes of the cluster tests. The user's cache has the last pass of each test file, with a fingerprint of everything
 * that can change its result; while the fingerprint is the same, the file need not run again.
 */

/** The last pass of a test file. */
export interface Proof {
  fingerprint: string;
  /** When it passed, ISO 8601. */
  at: string;
  /** How long the file took. */
  seconds: number;
  /** How many of its tests passed. */
  passed: number;
  /** How many were skipped, with a reason. */
  skipped: number;
}

/** What every cluster test depends on: the tools, and the building blocks of every component. */
const shared = [
  "cli",
  "kube",
  "render",
  "launch",
  "local",
  "components/kit",
  "components/images.ts",
  "platform",
  "Pulumi.yaml",
  "package-lock.json",
  "index.ts",
  "transforms.ts",
];
/** Paths that change no result of a cluster test. The folders of images are represented by the images' keys. */
const apart = ["local/images/", "render/diff/", "cli/diff.ts", "cli/proven.ts", "cli/test.ts", "cli/test-cluster.ts"];

const sha256 = (text: string | Buffer): string => createHash("sha256").update(text).digest("hex");

/** The hash of a file, or of every file below a folder. Paths are relative to the checkout. */
function hashes(path: string): [string, string][] {
  // Represented by the key of the image.
  if (/^components\/[^/]+\/images$/.test(path)) return [];
  if (statSync(join(root, path)).isFile()) return [[path, sha256(readFileSync(join(root, path)))]];
  return readdirSync(join(root, path), { withFileTypes: true })
    .filter(({ name }) => name !== "node_modules" && name !== "__pycache__" && !name.startsWith("."))
    .map(({ name }) => join(path, name))
    .sort()
    .flatMap(hashes);
}

/** The code of `local/images`, without the folders that the images are built from. */
const imageCode = (): [string, string][] =>
  readdirSync(join(root, "local/images"))
    .filter((name) => name.endsWith(".ts"))
    .sort()
    .flatMap((name) => hashes(join("local/images", name)));

/** An object's component. Namespaces and the like have none, and belong to all of them. */
const nameOf = ({ metadata }: KubeObject): string | undefined => metadata.labels?.["app.kubernetes.io/name"];

/** The list after `Exercises:` in the head of a test file: components by name, files and folders by path. */
export function exercised(text: string): string[] | "every component" {
  const [, list] = /^\/\/ Exercises: (.+)\.$/m.exec(text) ?? [];
  if (!list)
    throw new Error('expected a line "// Exercises: <components and paths>." or "// Exercises: every component."');
  return list === "every component" ? list : list.split(", ");
}

/** The files of the cluster tests, in the order in which they run. */
export const clusterTests = (): string[] =>
  readdirSync(join(root, "test/cluster"))
    .filter((name) => name.endsWith(".test.ts"))
    .sort();

/** The inputs of a fingerprint. */
export interface Ingredients {
  /** What every test depends on. */
  common: unknown;
  /** The rendered objects of every stack. */
  objects: KubeObject[];
  /** The key of each image that is built here. */
  keys: Map<string, string>;
  /** A path below the checkout to hashes of the files there. */
  hashes(path: string): [string, string][];
}

/** The fingerprint of a test file, by its text. */
export function fingerprint(text: string, { common, objects, keys, hashes }: Ingredients): string {
  const names = new Set(objects.flatMap((object) => nameOf(object) ?? []));
  const list = exercised(text);
  const every = list === "every component";
  const components = every ? names : new Set(list.filter((one) => names.has(one)));
  const theirs = objects.filter((object) => {
    const component = nameOf(object);
    return component === undefined || components.has(component);
  });
  const rendered = JSON.stringify(theirs);
  const images = [...keys].filter(([image]) => rendered.includes(JSON.stringify(image)));
  const code = every
    ? ["components", "config", "apps"].flatMap(hashes)
    : [...[...components].flatMap(sourceOf), ...list.filter((one) => !names.has(one))].flatMap(hashes);
  return sha256(JSON.stringify([common, text, rendered, images, code]));
}

/** The fingerprints of the cluster tests, in the order in which they run. Evaluates every stack once. */
export async function fingerprints(): Promise<Map<string, string>> {
  const stacks: Evaluation[] = [];
  // One after another: the SDK records resources in global state.
  for (const stack of ["dev", "test", "prod"]) stacks.push(await evaluateRedacted(stackFile(stack), "none"));
  const images = [...new Set(stacks.flatMap(imagesOf))].filter((image) => definitionOf(image));
  const ingredients: Ingredients = {
    common: [
      ["node", process.versions.node.split(".")[0]],
      // More interruptions than usual, or a given seed of their moments, prove no less.
      Object.entries(process.env).filter(([name]) => /^(TEST_(?!INTERRUPTIONS|SEED)|PLATFORM_IMAGES)/.test(name)),
      ...shared.flatMap(hashes).filter(([path]) => !apart.some((other) => path.startsWith(other))),
      ...imageCode(),
      ...hashes("test/cluster").filter(([path]) => !path.endsWith(".test.ts")),
    ],
    objects: stacks.flatMap((evaluation) => manifests(evaluation).map(({ object }) => object)),
    keys: new Map(images.map((image) => [image, keyFor(image)])),
    hashes,
  };
  const read = (file: string) => readFileSync(join(root, "test/cluster", file), "utf8");
  return new Map(clusterTests().map((file) => [file, fingerprint(read(file), ingredients)]));
}

/**
 * The folder of a component, by the label of its objects; without an entry in the registry, the folder of that name.
 */
const sourceOf = (name: string): string[] => {
  const key = componentOf(name);
  const path = `components/${key ? registry[key].folder : name}`;
  return existsSync(join(root, path)) ? [path] : [];
};

const fileOf = (test: string): string => join(cacheDir(), "proven", `${basename(test, ".test.ts")}.json`);

/** The last pass of a test file with this fingerprint; undefined if there is none. */
export function provenBefore(test: string, fingerprint: string | undefined): Proof | undefined {
  try {
    const proof = JSON.parse(readFileSync(fileOf(test), "utf8")) as Proof;
    return proof.fingerprint === fingerprint ? proof : undefined;
  } catch {
    return undefined;
  }
}

/** Saves a pass, atomically. */
export async function keepProof(test: string, proof: Proof): Promise<void> {
  const file = fileOf(test);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(`${file}.new`, JSON.stringify(proof, null, 2));
  await rename(`${file}.new`, file);
}

/** Deletes a pass: the file has failed since, with the same fingerprint. */
export const forgetProof = (test: string): Promise<void> => rm(fileOf(test), { force: true });
