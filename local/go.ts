import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, readdir, readFile, rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { execa } from "execa";
import { cacheDir } from "../config/paths.ts";
import { debianPackages } from "./cluster/debian.ts";
import { type Say, type Step, UserError } from "./step.ts";

/**
 * Binaries of one `go build`. A Go module in this repository pins their source; for a newer version, change the pin there and
 * run `go mod tidy`.
 */
export interface Binaries {
  /** The folder of that module: go.mod, go.sum, and packages of this repository. */
  dir: string;
  /** Their name in messages; the binaries' names by default. */
  title?: string;
  /** Binary name to its package; `./…` is a package of the module itself. */
  binaries: Record<string, string>;
  /** Files to copy next to the binaries: file name to the package that has it. */
  files?: Record<string, string>;
  /** Extra `-X` settings for the linker. */
  stamp?: string;
  /** Needs a C compiler, these build tags and Debian packages. Other groups are pure Go. */
  cgo?: { tags: string; packages: Record<string, string> };
  /** An experiment of Go that its source needs. */
  experiment?: "jsonv2";
}

const flags = (group: Binaries): string[] => [
  "-trimpath",
  "-buildvcs=false",
  ...(group.cgo ? ["-tags", group.cgo.tags] : []),
  "-ldflags",
  ["-s -w", group.stamp].filter(Boolean).join(" "),
];
const environment = (group: Binaries) => ({
  CGO_ENABLED: group.cgo ? "1" : "0",
  ...(group.experiment && { GOEXPERIMENT: group.experiment }),
});
const titleOf = (group: Binaries): string => group.title ?? Object.keys(group.binaries).join(", ");

/** The version of Go that builds `group`, which may be another toolchain than the installed one. */
async function goVersion(group: Binaries): Promise<string> {
  const { stdout, exitCode, stderr, code } = await execa("go", ["env", "GOVERSION"], { cwd: group.dir, reject: false });
  if (code === "ENOENT")
    throw new UserError(`${titleOf(group)}: built with Go, and no \`go\` is on PATH; expected Go 1.26 or newer`);
  if (exitCode !== 0)
    throw new UserError(`${titleOf(group)}: this Go cannot build it; expected Go 1.26 or newer\n${stderr}`);
  return stdout.trim();
}

/**
 * The folder of the built binaries. Its name has a hash of every file that decides them, the flags and the compiler, so
 * another pin has another path.
 */
export async function builtDir(name: string, group: Binaries): Promise<string> {
  const facts = [
    flags(group),
    await goVersion(group),
    process.arch,
    ...(group.files ? [group.files] : []),
    ...(group.experiment ? [group.experiment] : []),
  ];
  const hash = createHash("sha256").update(JSON.stringify(facts));
  const own = Object.values(group.binaries).filter((pkg) => pkg.startsWith("./"));
  const files = ["go.mod", "go.sum", ...own.map((pkg) => join(pkg, "main.go"))];
  for (const file of files) hash.update(`\0${file}\0`).update(await readFile(join(group.dir, file)));
  return join(cacheDir(), "bin", `${name}-${hash.digest("hex").slice(0, 12)}`);
}

/** Runs `go`, and calls `onLine` for each line of its progress. Returns its output. */
async function go(group: Binaries, args: string[], onLine: (line: string) => void): Promise<string> {
  const child = execa("go", args, { cwd: group.dir, env: environment(group), reject: false, buffer: true });
  for await (const line of child.iterable({ from: "stderr" })) onLine(line);
  const { exitCode, stdout, stderr } = await child;
  if (exitCode === 0) return stdout;
  // Without the names of compiled packages.
  const last = linesOf(stderr).slice(-15).join("\n");
  throw new UserError(`\`go ${args[0]}\` failed in ${group.dir}:\n${last}`);
}

/** The lines that are not progress: the name of a package has no space. */
export const linesOf = (stderr: string): string[] =>
  stderr.split("\n").filter((line) => line.includes(" ") && !line.startsWith("go: downloading "));

/** A new folder for a build. Removes those of interrupted builds: one that still runs fails, instead of writing into this one. */
async function emptyDirectory(name: string): Promise<string> {
  const bin = join(cacheDir(), "bin");
  await mkdir(bin, { recursive: true });
  for (const entry of await readdir(bin))
    if (entry.startsWith(`.${name}-`)) await rm(join(bin, entry), { recursive: true, force: true });
  return mkdtemp(join(bin, `.${name}-`));
}

/** Running builds: a second request for one waits for it. */
const running = new Map<string, Promise<void>>();

function build(name: string, group: Binaries, say: Say): Promise<void> {
  const build = running.get(name) ?? compile(name, group, say).finally(() => running.delete(name));
  running.set(name, build);
  return build;
}

async function compile(name: string, group: Binaries, say: Say): Promise<void> {
  if (group.cgo) await debianPackages(group.cgo.packages, say);
  const target = await builtDir(name, group);
  const packages = Object.values(group.binaries);
  const downloading = (line: string) => line.startsWith("go: downloading ") && say(`${name} … ${line.slice(4)}`);
  const toCompile = await go(
    group,
    ["list", "-deps", ...flags(group), "-f", "{{if .Stale}}{{.ImportPath}}{{end}}", ...packages],
    downloading,
  );
  const total = toCompile.split("\n").filter(Boolean).length;
  let done = 0;
  // Built next to the target and renamed at the end, so that a path in the cache is always a complete build.
  const unfinished = await emptyDirectory(name);
  await go(group, ["build", "-v", ...flags(group), "-o", `${unfinished}/`, ...packages], (line) => {
    if (!downloading(line)) say(`${name} … ${++done}/${Math.max(total, done)} packages`);
  });
  for (const [binary, pkg] of Object.entries(group.binaries))
    await rename(join(unfinished, builtName(pkg)), join(unfinished, binary));
  for (const [file, pkg] of Object.entries(group.files ?? {})) {
    // -e: also lists a package that does not compile.
    const source = (await go(group, ["list", "-e", "-f", "{{.Dir}}", pkg], () => {})).trim();
    await copyFile(join(source, file), join(unfinished, file));
  }
  await rename(unfinished, target);
}

/** The name that `go build` gives the binary of a package: the last segment of its path that is no major version. */
export const builtName = (pkg: string): string => basename(pkg.replace(/\/v\d+$/, ""));

/** The step that builds the binaries into the cache; skipped if they are there. */
export function buildStep(name: string, group: Binaries): Step {
  return {
    title: `Build ${titleOf(group)}`,
    skip: async () => existsSync(await builtDir(name, group)) && "in the cache",
    run: (say) => build(name, group, say),
  };
}
