import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import pLimit from "p-limit";
import { parseAllDocuments } from "yaml";
import { overlayOf } from "./git.ts";
import type { KubeObject } from "./kube.ts";
import { run } from "./run.ts";
import type { RepositorySettings } from "./settings.ts";

/** Helm and kustomize take tens of megabytes each: so many of them at a time, and so many seconds for one. */
const turns = pLimit(4);
const within = 60;

/** What a checked-out repository declares, each object once, in the order in which it is applied. */
export async function render(folder: string, of: RepositorySettings, signal: AbortSignal): Promise<KubeObject[]> {
  const manifests = join(folder, of.path);
  const overlay = join(folder, overlayOf(of));
  const has = (...path: string[]) =>
    stat(join(...path)).then(
      () => true,
      () => false,
    );
  const make = (program: string, args: string[]) => turns(() => output(program, args, of, folder, signal));

  if (of.environment && (await has(overlay))) {
    if (!(await hasKustomization(overlay))) throw new Error(`${overlayOf(of)} has no kustomization.yaml`);
    return declared(of, [await make("kustomize", ["build", overlay])]);
  }
  if (await has(manifests, "Chart.yaml")) {
    const values = `values-${of.environment}.yaml`;
    if (of.environment && !(await has(manifests, values)))
      throw new Error(`environment ${of.environment}: expected ${of.path}/${values} or ${overlayOf(of)}`);
    const release = of.name
      .split("/")[1]!
      .toLowerCase()
      .replace(/[^a-z0-9-]/g, "-")
      .slice(0, 53)
      .replace(/-+$/, "");
    return declared(of, [
      await make("helm", [
        // Hooks are for Helm's own installations: they would run here at every change, or be left lying about.
        ...["template", release, manifests, "--namespace", of.namespace, "--no-hooks"],
        ...(of.environment ? ["--values", join(manifests, values)] : []),
      ]),
    ]);
  }
  if (of.environment) throw new Error(`environment ${of.environment}: expected the folder ${overlayOf(of)}`);
  if (await hasKustomization(manifests)) return declared(of, [await make("kustomize", ["build", manifests])]);
  const entries = await readdir(manifests, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((one) => one.isFile() && /\.ya?ml$/.test(one.name))
    .map((one) => join(one.parentPath, one.name))
    // Of a whole repository, `.github` and its like hold no manifests.
    .filter((path) => !path.slice(manifests.length).includes("/."));
  const texts = files
    .sort()
    .map(async (path) => ({ path: path.slice(folder.length + 1), text: await readFile(path, "utf8") }));
  return declared(of, await Promise.all(texts));
}

async function hasKustomization(folder: string): Promise<boolean> {
  const names = await readdir(folder);
  return names.some((name) => ["kustomization.yaml", "kustomization.yml", "Kustomization"].includes(name));
}

async function output(program: string, args: string[], of: RepositorySettings, folder: string, signal: AbortSignal) {
  const text = await run(program, args, { seconds: within, signal, cwd: folder }).catch(({ message }: Error) => {
    // Paths of this pod mean nothing to those who wrote the manifests.
    throw new Error(`${program}: ${message.replaceAll(`${folder}/`, "")}`);
  });
  return { path: `what ${program} made of ${of.path}`, text };
}

/** The objects in some YAML, checked for what can be checked without a cluster. */
export function declared(of: RepositorySettings, texts: { path: string; text: string }[]): KubeObject[] {
  const objects = texts.flatMap(({ path, text }) =>
    parseAllDocuments(text).flatMap((document) => {
      const [problem] = document.errors;
      if (problem) throw new Error(`${path}: ${problem.message.split("\n")[0]}`);
      return flat(document.toJS(), path);
    }),
  );
  // With pruning, a folder that was emptied or moved by mistake would take everything away.
  if (objects.length === 0) throw new Error(`${of.path} declares no object`);
  const seen = new Set<string>();
  for (const { kind, apiVersion, metadata } of objects) {
    const name = `${kind} ${metadata.name}`;
    if (metadata.namespace !== undefined && metadata.namespace !== of.namespace && !of.overrideNamespace)
      throw new Error(
        `${name}: found namespace ${metadata.namespace}; expected none, or ${of.namespace}; overrideNamespace: true deploys it there all the same`,
      );
    const key = `${apiVersion} ${name}`;
    if (seen.has(key)) throw new Error(`${name} is declared twice`);
    seen.add(key);
  }
  // What pods mount and call first; the rest in the order of the files.
  const rank = ({ kind }: KubeObject) => {
    const position = first.indexOf(kind);
    return position < 0 ? first.length : position;
  };
  return objects.map((object) => marked(object, of)).sort((one, other) => rank(one) - rank(other));
}

const first = ["ServiceAccount", "ConfigMap", "PersistentVolumeClaim", "Service"];

function flat(value: unknown, path: string): KubeObject[] {
  if (value === null || value === undefined) return [];
  const object = value as Partial<KubeObject>;
  if (typeof value !== "object" || typeof object.kind !== "string" || typeof object.apiVersion !== "string")
    throw new Error(`${path}: found a document without apiVersion and kind; expected a Kubernetes object`);
  if (object.kind === "List") return (object.items as unknown[]).flatMap((item) => flat(item, path));
  if (typeof object.metadata?.name !== "string") throw new Error(`${path}: a ${object.kind} has no metadata.name`);
  return [object as KubeObject];
}

/** The label that says whose an object is. Nothing without it is ever changed or deleted. */
export const ownership = "deployd/repository";
/** A repository's name as a label's value. The settings refuse two names that would have one. */
export const owner = ({ name }: Pick<RepositorySettings, "name">): string => name.replace("/", ".");

const marked = (object: KubeObject, of: RepositorySettings): KubeObject => ({
  ...object,
  metadata: {
    ...object.metadata,
    namespace: of.namespace,
    labels: { ...object.metadata.labels, [ownership]: owner(of) },
  },
});
