import { cp, readdir, stat } from "node:fs/promises";
import { basename, join, posix } from "node:path";
import { limits, type Source } from "./git.ts";
import { checkSchemas, readDocuments } from "./yaml.ts";

/*
 * A chart is complete before Helm runs: its dependencies are in its charts/ folder, copied there from this repository if
 * Chart.yaml refers to it. A schema that refers to another one is refused, since Helm would load that from any address or file.
 */

/** Takes a chart with its dependencies in this repository. Returns whether charts/ has archives, which are not opened. */
export async function takeChart(folder: string, source: Source, signal: AbortSignal): Promise<{ packed: boolean }> {
  await takeDependencies(folder, { source, signal, copied: 0 }, []);
  const entries = await readdir(join(source.folder, folder), { recursive: true, withFileTypes: true });
  const files = entries.filter((one) => one.isFile());
  const schemas = files
    .filter(({ name }) => name === "values.schema.json")
    .map(({ name, parentPath }) => join(parentPath, name))
    .map((file) => ({ path: file.slice(source.folder.length + 1), file }));
  if (schemas.length > 0) await checkSchemas(schemas, signal);
  return { packed: files.some(({ name, parentPath }) => name.endsWith(".tgz") && basename(parentPath) === "charts") };
}

interface Dependency {
  name?: unknown;
  repository?: unknown;
}

/** Shared by a chart and its dependencies. */
interface Work {
  source: Source;
  signal: AbortSignal;
  /** Bytes copied so far: charts that depend on each other would be copied for ever. */
  copied: number;
}

/** Copies each dependency that is a folder of the repository (`file://../lib`) into charts/, where it is missing there. */
async function takeDependencies(folder: string, work: Work, above: string[]): Promise<void> {
  const { source, signal } = work;
  if ((await source.take(folder)) !== "folder") throw new Error(`${folder} is not a folder of the repository`);
  const file = posix.join(folder, "Chart.yaml");
  const [documents = []] = await readDocuments([{ path: file, file: join(source.folder, file) }], signal);
  const { dependencies } = (documents[0] ?? {}) as { dependencies?: Dependency[] };
  const charts = join(source.folder, folder, "charts");
  const present = await readdir(charts).catch((): string[] => []);
  for (const { name, repository } of Array.isArray(dependencies) ? dependencies : []) {
    // Helm reports what is wrong with these.
    if (typeof name !== "string" || !/^[\w-][\w.-]*$/.test(name) || typeof repository !== "string" || !repository)
      continue;
    if (present.some((one) => one === name || (one.startsWith(`${name}-`) && one.endsWith(".tgz")))) continue;
    const from = repository.startsWith("file://") ? inside(folder, repository.slice("file://".length)) : undefined;
    if (!from)
      throw new Error(
        `${file}: found the dependency ${name} from ${repository}; deployd fetches no charts: ` +
          `commit it to ${folder}/charts, as \`helm dependency build\` puts it there`,
      );
    if ([...above, folder].some((one) => one === from || one.startsWith(`${from}/`)))
      throw new Error(`${file}: the dependency ${name} leads back to ${from}`);
    await takeDependencies(from, work, [...above, folder]);
    const size = await sizeOf(join(source.folder, from));
    work.copied += size;
    if (work.copied > limits.totalMiB * 1024 * 1024)
      throw new Error(`${file}: expected at most ${limits.totalMiB} MiB of charts that it depends on`);
    await cp(join(source.folder, from), join(charts, name), { recursive: true });
    present.push(name);
  }
}

/** The folder that a path leads to from another folder; undefined if it is outside of the repository. */
function inside(folder: string, path: string): string | undefined {
  const joined = posix.join(folder, path).replace(/\/$/, "");
  return posix.isAbsolute(path) || joined.startsWith("..") ? undefined : joined;
}

async function sizeOf(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const sizes = entries.map(async (one) => (one.isFile() ? (await stat(join(one.parentPath, one.name))).size : 4096));
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}
