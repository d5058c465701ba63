import { lstatSync, mkdtempSync, readdirSync, readFileSync, realpathSync, type Stats, statSync } from "node:fs";
import { copyFile, cp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative, sep } from "node:path";
import { root } from "../../../cli/project.ts";
import { appModule, appName, appNameExpected } from "../../../components/django/schema.ts";
import { semanticVersion } from "../../../components/web-app/schema.ts";
import { buildahVersion, checkDockerfile, readDockerfile } from "../../../local/images/index.ts";
import { ConfigError } from "../../../render/stack.ts";
import { applyPatches } from "./patches.ts";

/** The command line's options for a Django application. */
export interface Given {
  name: string;
  version: string;
  /** The directory with manage.py, or with one directory below it that has it. */
  path: string;
  /** What the image is built from: `path`, or a directory above it. */
  buildContext?: string;
  /** Default: `Dockerfile` in `path` once it is patched, else in `buildContext`. */
  dockerfile?: string;
  /** What gunicorn serves. Default: wsgi or asgi beside the settings, else the only one in the source. */
  application?: string;
}

/** A copy of an application's source that an image can be built from. */
export interface Source {
  context: string;
  dockerfile: string;
  /** What gunicorn serves. */
  application: string;
  interface: "wsgi" | "asgi";
  /** The folder of manage.py below the context. Undefined if it is in the context itself. */
  directory?: string;
  /** Messages: changes of the copy, and notes on the Dockerfile. */
  changes: string[];
}

/**
 * Copies an application's source, applies its patches and adds missing files; then checks what can be checked without a
 * build. The source itself is only read. The copy is deleted after `use`.
 */
export async function withSource<T>(given: Given, use: (source: Source) => Promise<T>): Promise<T> {
  const problems: string[] = [];
  if (!appName.test(given.name)) problems.push(`--name: found ${given.name}; ${appNameExpected}`);
  if (!semanticVersion.test(given.version))
    problems.push(`--version: found ${given.version}; expected a semantic version such as 1.2.0`);
  if (given.application !== undefined && !appModule.test(given.application))
    problems.push(`--application: found ${given.application}; expected a Python module such as mysite.wsgi`);
  if (!isDirectory(given.path))
    throw refusal([...problems, `--path: found ${given.path}; expected a directory with a Django application`]);
  const path = realpathSync(given.path);
  const context = isDirectory(given.buildContext) ? realpathSync(given.buildContext) : path;
  if (given.buildContext !== undefined && (!isDirectory(given.buildContext) || !isWithin(path, context)))
    throw refusal([
      ...problems,
      `--build-context: found ${given.buildContext}; expected a directory that has ${given.path} in it`,
    ]);

  const copy = mkdtempSync(join(tmpdir(), "data-platform-app-"));
  try {
    const changes = await copySource(context, path, copy);
    const source = join(copy, relative(context, path));
    changes.push(...(await applyPatches(source, join(path, "patches"), problems)));
    const dockerfile = dockerfileOf(given, { context, copy, source });
    if (!isFile(dockerfile))
      problems.push(
        given.dockerfile
          ? `--dockerfile: ${given.dockerfile}: there is no such file`
          : `--path: there is no Dockerfile in ${given.path}; expected one there, or elsewhere with --dockerfile`,
      );
    const project = projectOf(source, given.path, problems);
    const supplied = ![source, project].some((folder) => folder && isFile(join(folder, "requirements.txt")));
    if (supplied) {
      await copyFile(join(root, "apps", "polls", "requirements.txt"), join(source, "requirements.txt"));
      changes.push("requirements.txt is supplied: it has none");
    }
    const served = project === undefined ? undefined : servedBy(project, given, problems);
    if (project !== undefined && served?.interface === "asgi") {
      const needs = `${served.application} is served by uvicorn, which`;
      if (supplied) problems.push(`--path: ${needs} the supplied requirements.txt lacks; expected one that names it`);
      else if (!mentions([source, project], "uvicorn")) changes.push(`${needs} none of the requirements names`);
    }
    if (isFile(dockerfile)) {
      const named = given.dockerfile ?? "Dockerfile";
      const found = checkDockerfile(readDockerfile(dockerfile), copy, await buildahVersion());
      problems.push(...found.problems.map((problem) => `${named}: ${problem}`));
      changes.push(...found.notes.map((note) => `${named}: ${note}`));
    }
    if (problems.length > 0 || !project || !served) throw refusal(problems);
    const directory = relative(copy, project).split(sep).join("/");
    return await use({ context: copy, dockerfile, ...served, ...(directory && { directory }), changes });
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
}

const refusal = (problems: string[]) => new ConfigError(problems.join("\n"));

const isDirectory = (path: string | undefined): path is string =>
  path !== undefined && (statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false);
const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
const isWithin = (path: string, folder: string): boolean => path === folder || path.startsWith(join(folder, sep));

/** Copies the context without repositories, patches and special files. Returns a message for each special file. */
async function copySource(context: string, path: string, copy: string): Promise<string[]> {
  const left = new Set([join(context, ".git"), join(path, ".git"), join(path, "patches")]);
  const special: string[] = [];
  const filter = (from: string) => {
    const kind = kindOf(lstatSync(from));
    if (kind) special.push(`${relative(context, from)} is left out: it is a ${kind}`);
    return !kind && !(left.has(from) && lstatSync(from).isDirectory());
  };
  try {
    await cp(context, copy, { recursive: true, verbatimSymlinks: true, filter });
  } catch (error) {
    throw new ConfigError(`--path: ${path} cannot be copied: ${(error as Error).message}`);
  }
  return special.sort();
}

const kindOf = (stats: Stats): string | undefined =>
  stats.isSocket()
    ? "socket"
    : stats.isFIFO()
      ? "FIFO"
      : stats.isBlockDevice() || stats.isCharacterDevice()
        ? "device"
        : undefined;

/** The Dockerfile in the patched copy, or one outside of it. */
function dockerfileOf(
  { dockerfile }: Given,
  { context, copy, source }: { context: string; copy: string; source: string },
): string {
  if (dockerfile === undefined)
    return [source, copy].map((folder) => join(folder, "Dockerfile")).find(isFile) ?? join(source, "Dockerfile");
  const copied = isFile(dockerfile) && join(copy, relative(context, realpathSync(dockerfile)));
  return copied && isWithin(copied, copy) && isFile(copied) ? copied : dockerfile;
}

/** Directories of a source that are not the application's own: virtual environments, packages and hidden ones. */
const isForeign = (folder: string, name: string): boolean =>
  name.startsWith(".") || /^(node_modules|site-packages)$/.test(name) || isFile(join(folder, name, "pyvenv.cfg"));

/** The files of a source for which `is` holds, by their paths in it. */
function filesOf(source: string, is: (path: string) => boolean, folder = ""): string[] {
  return readdirSync(join(source, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return isForeign(join(source, folder), entry.name) ? [] : filesOf(source, is, path);
    return entry.isFile() && is(path) ? [path] : [];
  });
}

/** The directory with manage.py: the source's own, or the only one below it. */
function projectOf(source: string, path: string, problems: string[]): string | undefined {
  if (isFile(join(source, "manage.py"))) return source;
  const found = filesOf(source, (file) => file.endsWith(`${sep}manage.py`)).sort();
  if (found.length === 1) return join(source, found[0] ?? "", "..");
  problems.push(
    found.length === 0
      ? `--path: there is no manage.py in ${path}; expected one that sets DJANGO_SETTINGS_MODULE`
      : `--path: found ${found.slice(0, 5).join(", ")} in ${path}; expected one manage.py: name its directory`,
  );
  return undefined;
}

/** The module that a Django project is served by, and over which interface. */
function servedBy(project: string, { application, path }: Given, problems: string[]) {
  const manage = readFileSync(join(project, "manage.py"), "utf8");
  const settings = /DJANGO_SETTINGS_MODULE["'](?:\s*\]\s*=|\s*,(?:\s*default\s*=)?)\s*["']([\w.]+)["']/.exec(
    manage,
  )?.[1];
  const module = application ?? besideSettings(project, settings) ?? onlyOne(project, path, settings, problems);
  return module === undefined ? undefined : { application: module, interface: interfaceOf(project, module) };
}

/** `wsgi`, else `asgi`, in the package of the settings or the nearest one above it. */
function besideSettings(project: string, settings: string | undefined): string | undefined {
  const packages = settings?.split(".").slice(0, -1);
  if (!packages) return undefined;
  const levels = packages.map((_, i) => packages.slice(0, packages.length - i));
  return ["wsgi", "asgi"]
    .flatMap((name) => [...levels, []].map((level) => [...level, name].join(".")))
    .find((module) => fileOf(project, module));
}

/** The only `wsgi` of a project; if it has none, the only `asgi`. */
function onlyOne(project: string, path: string, settings: string | undefined, problems: string[]): string | undefined {
  for (const name of ["wsgi", "asgi"]) {
    const modules = filesOf(project, (file) => new RegExp(`(^|/)${name}(/__init__)?\\.py$`).test(toUnix(file)))
      .map((file) =>
        toUnix(file)
          .replace(/(\/__init__)?\.py$/, "")
          .replaceAll("/", "."),
      )
      .sort();
    if (modules.length === 1) return modules[0];
    if (modules.length === 0) continue;
    problems.push(`--path: found ${modules.join(", ")} in ${path}; expected --application with one of them`);
    return undefined;
  }
  problems.push(
    `--path: there is no wsgi or asgi module in ${path}${settings ? `, whose settings are ${settings}` : ""}; expected one, or --application with what gunicorn serves`,
  );
  return undefined;
}

const toUnix = (path: string) => path.split(sep).join("/");

/** The file of a module, if it is the project's own. */
function fileOf(project: string, module: string): string | undefined {
  const path = join(project, ...(module.split(":")[0] ?? "").split("."));
  return [`${path}.py`, join(path, "__init__.py")].find(isFile);
}

/** ASGI if the module has that name or creates such an application. */
function interfaceOf(project: string, module: string): "wsgi" | "asgi" {
  const file = fileOf(project, module);
  const words = (module.split(":")[0] ?? "").split(".");
  if (words.includes("wsgi")) return "wsgi";
  return words.includes("asgi") || (file && /get_asgi_application/.test(readFileSync(file, "utf8"))) ? "asgi" : "wsgi";
}

/** Whether a file with requirements contains a word. */
const mentions = (folders: string[], word: string): boolean =>
  folders.some((folder) =>
    filesOf(folder, (file) => /\.(txt|in|toml|lock|cfg|yml|yaml)$|(Pipfile|Dockerfile)[^/]*$/.test(file)).some((file) =>
      readFileSync(join(folder, file), "utf8").includes(word),
    ),
  );
