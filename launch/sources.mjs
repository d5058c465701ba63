import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import * as module from "node:module";
import { basename, dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

/*
 * Runs the TypeScript of the checkout. The sources are bundled once, and again when one of them has changed: to
 * transpile file by file at each start, with hooks in Node's module loader, takes more CPU than most commands do.
 *
 * This is JavaScript because it runs before anything can read TypeScript.
 */

const here = fileURLToPath(import.meta.url);

/**
 * Imports a TypeScript module.
 *
 * @param {string} entry its path in the checkout, such as `cli/main.ts`
 * @param {string} root the checkout, without symbolic links in its path
 */
export async function load(entry, root = dirname(dirname(here))) {
  // From Node 22.1 on: keeps what V8 compiled, of the libraries too.
  module.enableCompileCache?.(join(cache(root), "v8"));
  let file;
  try {
    file = current(entry, root) ?? (await build(entry, root));
    mapStacks();
  } catch (error) {
    if (!["EACCES", "EPERM", "EROFS"].includes(error.code)) throw error;
    // node_modules is read-only, as it can be in an image: slower, with the same result.
    (await import("tsx/esm/api")).register();
    file = join(root, entry);
  }
  return import(pathToFileURL(file).href);
}

const cache = (root) => join(root, "node_modules", ".cache", "data-platform");
const digest = (content) => createHash("sha256").update(content).digest("hex");
/** Names the build of an entry, and the digests of its sources. Several checkouts can share their node_modules. */
const record = (entry, root) => join(cache(root), `${digest(`${root} ${entry}`).slice(0, 16)}.json`);

/** The build of an entry; undefined if there is none, or if a source has changed since. */
function current(entry, root) {
  const path = record(entry, root);
  if (!existsSync(path)) return undefined;
  const { file, inputs } = JSON.parse(readFileSync(path, "utf8"));
  const unchanged = (input) => existsSync(input) && digest(readFileSync(input)) === inputs[input];
  if (!existsSync(file) || !Object.keys(inputs).every(unchanged)) return undefined;
  try {
    utimesSync(dirname(file), new Date(), new Date());
  } catch {
    // Another user's, or read-only: then nothing is removed here either.
  }
  return file;
}

/** Bundles an entry; returns the file to import. Two processes may build the same at the same time. */
async function build(entry, root) {
  const folder = cache(root);
  mkdirSync(folder, { recursive: true });
  const esbuild = await import("esbuild");
  const { outputFiles, metafile } = await esbuild.build({
    absWorkingDir: root,
    entryPoints: { entry },
    // Only for the paths in the source maps: the files are written below, once all of them are there.
    outdir: join(folder, "build"),
    outExtension: { ".js": ".mjs" },
    bundle: true,
    // What a command does not need is in a chunk that it does not load.
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node20",
    sourcemap: "linked",
    sourcesContent: false,
    write: false,
    metafile: true,
    logLevel: "silent",
    plugins: [sourcePaths, packages],
  });
  const sources = Object.keys(metafile.inputs).filter((path) => !path.startsWith("node_modules/"));
  // The libraries that the build contains, and how it is made, count as sources.
  const paths = [...sources.map((path) => join(root, path)), join(root, "package-lock.json"), here];
  const inputs = Object.fromEntries(paths.filter(existsSync).map((path) => [path, digest(readFileSync(path))]));

  removeOld(folder);
  const built = join(folder, digest(entry + JSON.stringify(inputs)).slice(0, 16));
  if (!existsSync(built)) {
    const fresh = `${built}-${process.pid}`;
    mkdirSync(fresh);
    for (const { path, contents } of outputFiles) writeFileSync(join(fresh, basename(path)), contents);
    rename(fresh, built);
  }
  const file = join(built, "entry.mjs");
  writeFileSync(`${built}-${process.pid}.json`, JSON.stringify({ file, inputs }));
  renameSync(`${built}-${process.pid}.json`, record(entry, root));
  return file;
}

/** Renames a folder to a path at which another process may have put the same one. */
function rename(fresh, built) {
  try {
    renameSync(fresh, built);
  } catch (error) {
    if (error.code !== "ENOTEMPTY" && error.code !== "EEXIST") throw error;
    rmSync(fresh, { recursive: true });
  }
}

/** Removes builds that no command has started from for a day: one that still runs may load chunks of its build. */
function removeOld(folder) {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    const { mtimeMs } = statSync(path, { throwIfNoEntry: false }) ?? { mtimeMs: Infinity };
    if (mtimeMs < Date.now() - 24 * 60 * 60 * 1000) rmSync(path, { recursive: true, force: true });
  }
}

/** `import.meta.url` and `import.meta.dirname` of a source are those of the checkout, not of the build. */
const sourcePaths = {
  name: "source-paths",
  setup(esbuild) {
    esbuild.onLoad({ filter: /\.ts$/ }, ({ path }) => ({
      contents: readFileSync(path, "utf8")
        .replaceAll("import.meta.url", JSON.stringify(pathToFileURL(path).href))
        .replaceAll("import.meta.dirname", JSON.stringify(dirname(path))),
      loader: "ts",
    }));
  },
};

/**
 * Libraries stay outside the build, except for the kubeconfig of the Kubernetes client: bundled alone it loads at once,
 * while the library also loads the models of the whole API. Its modules have no side effects, so unused code can be
 * left out.
 */
const packages = {
  name: "packages",
  setup(esbuild) {
    const client = "@kubernetes/client-node/dist/";
    esbuild.onResolve({ filter: /.*/ }, async ({ path, importer, pluginData, ...rest }) => {
      if (pluginData === packages || rest.kind === "entry-point") return undefined;
      const inside = importer.includes(client);
      const resolve = () => esbuild.resolve(path, { importer, ...rest, pluginData: packages });
      if (path.startsWith(client) || (inside && path.startsWith("."))) return { ...(await resolve()), sideEffects: false };
      // By their paths, since a library can have its own version of another.
      if (inside && !path.startsWith("node:")) return { path: (await resolve()).path, external: true };
      return /^[./]/.test(path) ? undefined : { path, external: true };
    });
  },
};

/**
 * Maps stack traces to the sources. Not those of errors without a message: Pulumi creates one for each of its promises,
 * and mapping them takes longer than the program.
 */
function mapStacks() {
  const support = () => module.createRequire(here)("source-map-support");
  Error.prepareStackTrace = (error, frames) => {
    const shown = error.message ? frames.map(support().wrapCallSite) : frames;
    return [error, ...shown].join("\n    at ");
  };
}
