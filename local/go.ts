import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, readdir, readFile, rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { execa } from "execa";
import { debianPackages } from "./cluster/debian.ts";
import { cacheDir } from "./paths.ts";
import { type Say, type Step, UserError } from "./step.ts";

/**
 * Binaries of one `go build`. What they are built from is pinned by a Go module of ours; a newer version is another pin
 * there and `go mod tidy`.
 */
export interface Binaries {
  /** Our Go module: its go.mod and go.sum, and packages of our own. */
  dir: string;
  /** What to call them together; their names by default. */
  title?: string;
  /** Binary name to the package it is built from; `./…` is a package of our own module. */
  binaries: Record<string, string>;
  /** Files to copy beside the binaries: file name to the package that has it. */
  files?: Record<string, string>;
  /** Extra `-X` settings for the linker. */
  stamp?: string;
  /** Needs a C compiler, and these build tags and Debian packages. Everything else is pure Go. */
  cgo?: { tags: string; packages: Record<string, string> };
}

const flags = (group: Binaries): string[] => [
  "-trimpath",
  "-buildvcs=false",
  ...(group.cgo ? ["-tags", group.cgo.tags] : []),
  "-ldflags",
  ["-s -w", group.stamp].filter(Boolean).join(" "),
];
const environment = (group: Binaries) => ({ CGO_ENABLED: group.cgo ? "1" : "0" });
const titleOf = (group: Binaries): string => group.title ?? Object.keys(group.binaries).join(", ");

/** The Go that would build `group` (it may switch toolchains for a module), or why none can. */
async function goVersion(group: Binaries): Promise<string> {
  const { stdout, exitCode, stderr, code } = await execa("go", ["env", "GOVERSION"], { cwd: group.dir, reject: false });
  if (code === "ENOENT")
    throw new UserError(`${titleOf(group)}: built with Go, and no \`go\` is on PATH; expected Go 1.26 or newer`);
  if (exitCode !== 0)
    throw new UserError(`${titleOf(group)}: this Go cannot build it; expected Go 1.26 or newer\n${stderr}`);
  return stdout.trim();
}

/**
 * Where the binaries are once they are built. Every file that decides what comes out is hashed with the flags and the
 * compiler: another pin is another path.
 */
export async function builtDir(name: string, group: Binaries): Promise<string> {
  const facts = [flags(group), await goVersion(group), process.arch, ...(group.files ? [group.files] : [])];
  const hash = createHash("sha256").update(JSON.stringify(facts));
  const own = Object.values(group.binaries).filter((pkg) => pkg.startsWith("./"));
  const files = ["go.mod", "go.sum", ...own.map((pkg) => join(pkg, "main.go"))];
  for (const file of files) hash.update(`\0${file}\0`).update(await readFile(join(group.dir, file)));
  return join(cacheDir(), "bin", `${name}-${hash.digest("hex").slice(0, 12)}`);
}

/** Runs `go` and hands over each line of what it says as it works. */
async function go(group: Binaries, args: string[], onLine: (line: string) => void): Promise<string> {
  const child = execa("go", args, { cwd: group.dir, env: environment(group), reject: false, buffer: true });
  for await (const line of child.iterable({ from: "stderr" })) onLine(line);
  const { exitCode, stdout, stderr } = await child;
  if (exitCode === 0) return stdout;
  // Without the names of packages that were compiled meanwhile.
  const last = linesOf(stderr).slice(-15).join("\n");
  throw new UserError(`\`go ${args[0]}\` failed in ${group.dir}:\n${last}`);
}

/** What `go` says beside its progress: the name of a package has no space. */
export const linesOf = (stderr: string): string[] =>
  stderr.split("\n").filter((line) => line.includes(" ") && !line.startsWith("go: downloading "));

/** A new one, and without what an interrupted build left: if that still runs, it fails instead of writing into ours. */
async function emptyDirectory(name: string): Promise<string> {
  const bin = join(cacheDir(), "bin");
  await mkdir(bin, { recursive: true });
  for (const entry of await readdir(bin))
    if (entry.startsWith(`.${name}-`)) await rm(join(bin, entry), { recursive: true, force: true });
  return mkdtemp(join(bin, `.${name}-`));
}

/** Builds that run now: who wants the same one meanwhile waits for it. */
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
  // Built beside the target and renamed at the end: a path in the cache is a whole build, whatever interrupts this one.
  const unfinished = await emptyDirectory(name);
  await go(group, ["build", "-v", ...flags(group), "-o", `${unfinished}/`, ...packages], (line) => {
    if (!downloading(line)) say(`${name} … ${++done}/${Math.max(total, done)} packages`);
  });
  for (const [binary, pkg] of Object.entries(group.binaries))
    await rename(join(unfinished, builtName(pkg)), join(unfinished, binary));
  for (const [file, pkg] of Object.entries(group.files ?? {})) {
    // -e: a package that does not build by itself still has its files.
    const source = (await go(group, ["list", "-e", "-f", "{{.Dir}}", pkg], () => {})).trim();
    await copyFile(join(source, file), join(unfinished, file));
  }
  await rename(unfinished, target);
}

/** What `go build` calls the binary of a package: the last part of its path that is no major version. */
export const builtName = (pkg: string): string => basename(pkg.replace(/\/v\d+$/, ""));

/** The step that leaves the binaries in the cache; skipped where they already are. */
export function buildStep(name: string, group: Binaries): Step {
  return {
    title: `Build ${titleOf(group)}`,
    skip: async () => existsSync(await builtDir(name, group)) && "in the cache",
    run: (say) => build(name, group, say),
  };
}
