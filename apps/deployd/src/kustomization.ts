import { readdir, writeFile } from "node:fs/promises";
import { join, posix } from "node:path";
import type { Source } from "./git.ts";
import { readDocuments } from "./yaml.ts";

/*
 * kustomize runs git and downloads what a kustomization names. So each kustomization is checked first: everything that it
 * names must be a file or folder of the repository, which is then taken. kustomize reads the checked documents, written as
 * JSON, and never the originals, in which it could find something else.
 */

export const kustomizationNames = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/** The file that makes a taken folder a kustomization. */
export async function kustomizationIn(folder: string): Promise<string | undefined> {
  const names = await readdir(folder);
  return kustomizationNames.find((name) => names.includes(name));
}

/** Checks a kustomization and all that it refers to, and takes what it needs. */
export async function takeKustomization(root: string, source: Source, signal: AbortSignal): Promise<void> {
  await new Walk(source, signal).kustomization(root);
}

type Fields = Record<string, unknown>;

class Walk {
  private readonly source: Source;
  private readonly signal: AbortSignal;
  private readonly seen = new Set<string>();

  constructor(source: Source, signal: AbortSignal) {
    this.source = source;
    this.signal = signal;
  }

  /** A folder with a kustomization. `plugins`: its resources are settings of generators and transformers. */
  async kustomization(folder: string, plugins?: { relativeTo: string }): Promise<void> {
    const visit = `${folder} ${plugins?.relativeTo}`;
    if (this.seen.has(visit)) return;
    this.seen.add(visit);
    if ((await this.source.take(folder)) !== "folder") throw new Error(`${folder} is not a folder of the repository`);
    const name = await kustomizationIn(join(this.source.folder, folder));
    if (!name) throw new Error(`${folder} has no kustomization.yaml`);
    const file = posix.join(folder, name);
    const documents = await this.read(file);
    if (documents.length !== 1) throw new Error(`${file}: found ${documents.length} documents; expected one`);
    const fields = normalised(documents[0]);
    const field = (key: string) => fields[key.toLowerCase()];

    for (const key of ["helmCharts", "helmChartInflationGenerator", "helmGlobals"])
      if (field(key) !== undefined)
        throw new Error(`${file}: found ${key}; deployd renders no chart from a kustomization: expected its manifests`);
    for (const key of ["resources", "components", "bases"])
      for (const path of this.paths(file, key, field(key))) await this.resource(file, key, folder, path, plugins);
    /** Settings inside the kustomization, and how they are written. */
    const plain = new Map<unknown, string>();
    for (const key of ["generators", "transformers", "validators"])
      for (const path of this.paths(file, key, field(key)))
        if (inline(path)) plain.set(path, await this.inlinePlugin(file, key, path, folder));
        else await this.resource(file, key, folder, path, { relativeTo: folder });
    for (const key of ["crds", "configurations"])
      for (const path of this.paths(file, key, field(key))) await this.file(file, key, folder, path);
    for (const path of this.paths(file, "patchesStrategicMerge", field("patchesStrategicMerge")))
      if (!inline(path)) await this.file(file, "patchesStrategicMerge", folder, path);
    for (const key of ["patches", "patchesJson6902", "replacements", "configMapGenerator", "secretGenerator"])
      for (const entry of entries(field(key))) await this.entry(file, key, folder, normalised(entry));
    await this.entry(file, "openapi", folder, normalised(field("openapi")));
    if (plain.size > 0)
      await this.write(file, [JSON.parse(JSON.stringify(documents[0]), (_, value) => plain.get(value) ?? value)]);
  }

  /** A resource is a file, or the folder of another kustomization. */
  private async resource(from: string, key: string, folder: string, path: string, plugins?: { relativeTo: string }) {
    const inside = this.inside(from, key, folder, path);
    const kind = await this.source.take(inside);
    if (kind === "folder") await this.kustomization(inside, plugins);
    else if (!kind) throw new Error(elsewhere(from, key, path));
    else if (plugins) await this.pluginFields(inside, await this.read(inside), plugins.relativeTo);
  }

  private async file(from: string, key: string, folder: string, path: string): Promise<void> {
    if ((await this.source.take(this.inside(from, key, folder, path))) !== "file")
      throw new Error(elsewhere(from, key, path));
  }

  /** One item of a list such as `patches`, with the files that it names. */
  private async entry(from: string, key: string, folder: string, fields: Fields): Promise<void> {
    // A file may have a name in the ConfigMap: `name=path`.
    for (const field of ["path", "env", "envs", "files"])
      for (const path of this.paths(from, `${key}.${field}`, fields[field]))
        await this.file(from, `${key}.${field}`, folder, field === "files" ? path.slice(path.indexOf("=") + 1) : path);
  }

  private async inlinePlugin(from: string, key: string, text: string, folder: string): Promise<string> {
    const [documents = []] = await readDocuments([{ path: `${from}: ${key}`, text }], this.signal);
    await this.pluginFields(from, documents, folder);
    return plainYaml(documents);
  }

  /** Settings of a generator or transformer. Some fields are files in every kind; `path` may be a path in an object. */
  private async pluginFields(from: string, value: unknown, folder: string): Promise<void> {
    if (Array.isArray(value)) for (const item of value) await this.pluginFields(from, item, folder);
    if (typeof value !== "object" || value === null || Array.isArray(value)) return;
    for (const [key, inner] of Object.entries(normalised(value))) {
      if (!pluginFiles.has(key)) {
        await this.pluginFields(from, inner, folder);
        continue;
      }
      for (const entry of Array.isArray(inner) ? inner : [inner]) {
        if (typeof entry !== "string") await this.pluginFields(from, entry, folder);
        else if (!inline(entry))
          await this.perhaps(from, key, folder, key === "files" ? entry.slice(entry.indexOf("=") + 1) : entry);
      }
    }
  }

  /** A value that may be a file, or the path of a field. */
  private async perhaps(from: string, key: string, folder: string, path: string): Promise<void> {
    if (remote.test(path)) throw new Error(elsewhere(from, key, path));
    const inside = posix.join(folder, path);
    if (path && local(inside)) await this.source.take(inside);
  }

  /** A path that a kustomization names, from the root of the repository. */
  private inside(from: string, key: string, folder: string, path: string): string {
    const inside = posix.join(folder, path).replace(/\/$/, "");
    if (remote.test(path) || posix.isAbsolute(path) || !local(inside)) throw new Error(elsewhere(from, key, path));
    return inside;
  }

  private paths(from: string, key: string, value: unknown): string[] {
    const paths = value === undefined || value === null ? [] : Array.isArray(value) ? value : [value];
    return paths.map((path) => {
      if (typeof path !== "string" || path === "")
        throw new Error(`${from}: ${key}: expected paths of files or folders`);
      return path;
    });
  }

  /** The documents of a file, which is rewritten with them. */
  private async read(file: string): Promise<unknown[]> {
    const path = join(this.source.folder, file);
    const [all = []] = await readDocuments([{ path: file, file: path }], this.signal);
    const documents = all.filter((one) => one !== null);
    await this.write(file, documents);
    return documents;
  }

  private async write(file: string, documents: unknown[]): Promise<void> {
    await writeFile(join(this.source.folder, file), plainYaml(documents));
  }
}

/** Fields that hold the paths of files in the settings of kustomize's own generators and transformers. */
const pluginFiles = new Set(
  "path paths files env envs targetfilepath valuesfile additionalvaluesfiles argsfromfile repo charthome".split(" "),
);

/** Values that kustomize would load from the network. */
const remote = /:\/\/|^\s*https?:/i;

const local = (path: string): boolean => path !== ".." && !path.startsWith("../");

/** Inline YAML in a field that may also have a path. */
const inline = (text: string): boolean => text.includes("\n") || text.trimStart().startsWith("{");

const elsewhere = (from: string, key: string, path: string): string =>
  `${from}: ${key}: found ${path.slice(0, 200)}; expected a file or folder of this repository: deployd reads nothing from elsewhere`;

const entries = (value: unknown): unknown[] => (Array.isArray(value) ? value : value ? [value] : []);

/** The fields with their names as Go matches them: in any case, and with letters that fold to ASCII. */
function normalised(value: unknown): Fields {
  if (typeof value !== "object" || value === null) return {};
  const fields: Fields = Object.create(null);
  for (const [key, inner] of Object.entries(value)) {
    const name = key.normalize("NFKC").toLowerCase();
    if (name in fields) fields[name] = [...entries(fields[name]), ...entries(inner)];
    else fields[name] = inner;
  }
  return fields;
}

/** Documents as JSON that YAML 1.1 reads equally: there, some characters end a line. */
const plainYaml = (documents: unknown[]): string =>
  documents
    .map((one) => JSON.stringify(one))
    .join("\n---\n")
    .replace(
      /[\u007f-\u00a0\u2028\u2029\ufeff]/g,
      (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
    );
