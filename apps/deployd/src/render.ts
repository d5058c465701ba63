import { readdir, stat } from "node:fs/promises";
import { join, posix } from "node:path";
import pLimit from "p-limit";
import { takeChart } from "./chart.ts";
import { overlayOf, type Source } from "./git.ts";
import type { Capabilities, KubeObject } from "./kube.ts";
import { kustomizationIn, takeKustomization } from "./kustomization.ts";
import { run, type Share } from "./run.ts";
import type { RepositorySettings } from "./settings.ts";
import { readObjects, type Text } from "./yaml.ts";

/**
 * Renders one repository at a time, so that the pod needs memory for deployd and one program. Helm takes 65 MiB for a small
 * chart, and 120 MiB for one of 400 objects.
 */
const turns = pLimit(1);
const share: Share = { memory: 160, file: 1, output: 4 };
const seconds = 60;

/**
 * Limits Helm and kustomize to the files that were taken: no git or other program on PATH, no home folder with settings,
 * and a proxy that does not answer instead of the network.
 */
const closed = "http://127.0.0.1:9";
const sealed = {
  PATH: "/nonexistent",
  HOME: "/nonexistent",
  ...Object.fromEntries(["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"].map((name) => [name, closed])),
  GOMAXPROCS: "2",
  GOMEMLIMIT: `${Math.floor(share.memory * 0.8)}MiB`,
};

/** The objects that a fetched commit declares, in the order in which they are applied. */
export function render(
  source: Source,
  of: RepositorySettings,
  capabilities: () => Promise<Capabilities>,
  signal: AbortSignal,
): Promise<KubeObject[]> {
  return turns(async () => {
    signal.throwIfAborted();
    const texts = await manifests(source, of, capabilities, signal);
    return declared(of, (await readObjects(texts, signal)) as KubeObject[]);
  });
}

/** A repository's YAML: the output of kustomize or Helm, or its files. */
async function manifests(
  source: Source,
  of: RepositorySettings,
  capabilities: () => Promise<Capabilities>,
  signal: AbortSignal,
): Promise<Text[]> {
  const { folder } = source;
  const has = (...path: string[]) =>
    stat(join(folder, ...path)).then(
      () => true,
      () => false,
    );
  const make = async (program: string, args: string[]): Promise<Text[]> => [
    { path: `what ${program} made of ${of.path}`, text: await tool(program, args, folder, signal) },
  ];
  const kustomize = async (path: string) => {
    await takeKustomization(path, source, signal);
    return make("kustomize", ["build", join(folder, path)]);
  };

  if (of.environment && (await source.take(overlayOf(of)))) return kustomize(overlayOf(of));
  if ((await source.take(of.path)) !== "folder") throw new Error(`${of.path} is a file; expected a folder`);
  const chart = join(folder, of.path);
  if (await has(of.path, "Chart.yaml")) {
    const values = `values-${of.environment}.yaml`;
    if (of.environment && !(await has(of.path, values)))
      throw new Error(`environment ${of.environment}: expected ${of.path}/${values} or ${overlayOf(of)}`);
    const { packed } = await takeChart(of.path, source, signal);
    const { version, apis } = await capabilities();
    return make("helm", [
      // Hooks are for Helm's own releases: here they would run at every change, or never be deleted.
      ...["template", releaseOf(of), chart, "--namespace", of.namespace, "--no-hooks"],
      ...["--kube-version", version, ...apis.flatMap((api) => ["--api-versions", api])],
      ...(of.environment ? ["--values", join(chart, values)] : []),
      // A schema in an archive may refer to any address.
      ...(packed ? ["--skip-schema-validation"] : []),
    ]);
  }
  if (of.environment) throw new Error(`environment ${of.environment}: expected the folder ${overlayOf(of)}`);
  if (await kustomizationIn(chart)) return kustomize(of.path);
  return plainFiles(source, of);
}

/** The output of Helm or kustomize for the files in a folder. */
export const tool = (program: string, args: string[], folder: string, signal: AbortSignal): Promise<string> =>
  run(program, args, { seconds, signal, share, cwd: folder, env: sealed }).catch(({ message }: Error) => {
    // Authors of manifests do not know the paths of this pod.
    throw new Error(`${program}: ${message.replaceAll(`${folder}/`, "")}`);
  });

/** Every YAML and JSON file below the folder, as with `kubectl apply --recursive`. */
async function plainFiles(source: Source, of: RepositorySettings): Promise<Text[]> {
  const entries = await readdir(join(source.folder, of.path), { recursive: true, withFileTypes: true });
  const files = entries
    .filter((one) => one.isFile() && /\.(ya?ml|json)$/.test(one.name))
    .map((one) => join(one.parentPath, one.name))
    .sort();
  const texts = files
    .map((file) => ({ path: file.slice(source.folder.length + 1), file }))
    // In a whole repository, folders such as `.github` have no manifests.
    .filter(({ path }) => !/(^|\/)\./.test(path.slice(of.path === "." ? 0 : of.path.length + 1)));
  // Its files are input of a tool, and no manifests by themselves.
  const part = texts.find(({ path }) => /(^|\/)(kustomization\.ya?ml|Kustomization|Chart\.yaml)$/.test(path));
  if (part)
    throw new Error(
      `${of.path} has no ${posix.basename(part.path)}, but ${posix.dirname(part.path)} has one: ` +
        "set path to the folder that is to be built",
    );
  return texts;
}

/** The name of a chart's release: the repository's, as a valid name in Kubernetes. */
function releaseOf({ name }: RepositorySettings): string {
  const release = name.split("/")[1] ?? name;
  return release
    .toLowerCase()
    .replace(/[^a-z0-9-]/g, "-")
    .slice(0, 53)
    .replace(/-+$/, "");
}

/** The declared objects, after the checks that need no cluster. */
export function declared(of: RepositorySettings, objects: KubeObject[]): KubeObject[] {
  // With pruning, a folder that was emptied or moved by mistake would delete everything.
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
  // First the objects that pods mount and call; the rest in the order of the files.
  const rank = ({ kind }: KubeObject) => {
    const position = first.indexOf(kind);
    return position < 0 ? first.length : position;
  };
  return objects.map((object) => marked(object, of)).sort((one, other) => rank(one) - rank(other));
}

const first = ["ServiceAccount", "ConfigMap", "PersistentVolumeClaim", "Service"];

/** The label with an object's repository. deployd changes and deletes only objects with it. */
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
