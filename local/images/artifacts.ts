import { copyFile, cp, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { binary, moduleFolder } from "../cluster/binaries.ts";
import { debianPackages } from "../cluster/debian.ts";
import type { Say } from "../step.ts";
import { UserError } from "../step.ts";
import type { Artifact } from "./definitions.ts";
import { sourcesFor } from "./key.ts";
import { run, sandboxed } from "./run.ts";
import { isInstalled } from "./tools.ts";

/** Makes an artifact with the host's package client and puts it into a build context. `folder` is the definition's. */
export async function make(artifact: Artifact, folder: string, context: string, say: Say): Promise<void> {
  switch (artifact.kind) {
    case "debian":
      return debian(artifact, context, say);
    case "go":
      return go(artifact, folder, context, say);
    case "binaries":
      return binaries(artifact, context, say);
    case "module":
      return moduleFiles(artifact, context, say);
    case "maven":
      return maven(artifact, folder, context, say);
  }
}

/** As in Debian's slim images: without manuals and translations, also of packages that are installed later. Licences stay. */
const slim = [
  "path-exclude=/usr/share/doc/*",
  "path-include=/usr/share/doc/*/copyright",
  "path-exclude=/usr/share/man/*",
  "path-exclude=/usr/share/info/*",
  "path-exclude=/usr/share/locale/*",
  "path-exclude=/usr/share/lintian/*",
  // An interrupted build starts again from the beginning, so syncing every file to disk is of no use.
  "force-unsafe-io",
];

async function debian(artifact: Artifact & { kind: "debian" }, context: string, say: Say): Promise<void> {
  const list = join(context, "debian.list");
  await writeFile(list, `${sourcesFor(artifact).join("\n")}\n`);
  const command = [
    ...["mmdebstrap", "--variant=minbase", `--include=${artifact.include.join(",")}`],
    ...slim.map((option) => `--dpkgopt=${option}`),
    '--aptopt=Acquire::Languages "none"',
    ...(await hostAptOptions(say)).map((option) => `--aptopt=${option}`),
    // These are the machine's; a pod has its own.
    '--customize-hook=rm -f "$1/etc/resolv.conf" "$1/etc/hostname"',
    ...[artifact.suite, join(context, artifact.output), list],
  ];
  await run(say, sandboxed(command), {
    name: `mmdebstrap ${artifact.suite}`,
    show: (line) => /^I: (.*)/.exec(line)?.[1],
    hint: "Check that `apt-get update` works here: images are made from the mirror it uses.",
    env: { TMPDIR: context },
  });
}

/** Proxies and certificates of this machine's apt, which mmdebstrap needs too. */
async function hostAptOptions(say: Say): Promise<string[]> {
  const dump = await run(say, ["apt-config", "dump", "Acquire"]);
  return dump.split("\n").filter((line) => /^Acquire::(https?)(::[^ ]*)?::(Proxy|CaInfo|Verify-\w+) "./i.test(line));
}

async function go(artifact: Artifact & { kind: "go" }, folder: string, context: string, say: Say): Promise<void> {
  if (!(await isInstalled("go"))) {
    throw new UserError(`${artifact.package} is built from source: install Go 1.24 or newer and put \`go\` on PATH.`);
  }
  const output = join(context, artifact.output);
  const flags = [
    "-trimpath",
    "-mod=readonly",
    "-v",
    ...(artifact.tags ? ["-tags", artifact.tags.join(",")] : []),
    "-ldflags",
    `-s -w ${artifact.ldflags ?? ""}`.trim(),
    "-o",
    output,
  ];
  say(`compiling ${artifact.package}`);
  let compiled = 0;
  await run(say, ["go", "build", ...flags, artifact.package], {
    cwd: join(folder, "go"),
    // Without cgo the program is static and runs on any base image.
    env: { CGO_ENABLED: "0", GOFLAGS: "-buildvcs=false", GOWORK: "off" },
    show: (line) =>
      line.startsWith("go: downloading") ? line.slice("go: ".length) : `compiling ${line} (${++compiled} packages)`,
    hint: "Check that Go can load modules here: `go list -m -versions golang.org/x/sys`.",
  });
}

async function binaries(artifact: Artifact & { kind: "binaries" }, context: string, say: Say): Promise<void> {
  const output = join(context, artifact.output);
  await mkdir(output);
  // `binary` builds what is missing, one group after the other: together they would want all the memory there is.
  for (const name of artifact.names) await copyFile(await binary(name, say), join(output, name));
}

async function moduleFiles(artifact: Artifact & { kind: "module" }, context: string, say: Say): Promise<void> {
  const output = join(context, artifact.output);
  await cp(join(await moduleFolder(artifact.pins, artifact.module), artifact.path), output, { recursive: true });
  // Go keeps modules read-only.
  await run(say, ["chmod", "--recursive", "u=rwX,go=rX", output]);
}

/** Pinned: each Maven would otherwise use the version that it was released with. */
const dependencyPlugin = "org.apache.maven.plugins:maven-dependency-plugin:3.9.0";

async function maven(artifact: Artifact & { kind: "maven" }, folder: string, context: string, say: Say): Promise<void> {
  if (!(await isInstalled("mvn"))) await debianPackages({ maven: "gets programs that are written in Java" }, say);
  const goal = `${dependencyPlugin}:copy-dependencies`;
  const options = ["-DincludeScope=runtime", `-DoutputDirectory=${join(context, artifact.output)}`];
  // Without --strict-checksums, Maven only warns of a damaged file.
  const command = ["mvn", "--batch-mode", "--strict-checksums", "--file", join(folder, "pom.xml"), goal, ...options];
  await run(say, command, {
    name: `mvn copy-dependencies (${artifact.output})`,
    show: (line) => {
      const [, file] = /Downloading from \S+ .*\/([^/]+)$/.exec(line) ?? [];
      return file && `downloading ${file}`;
    },
    hint: `Check that Maven reaches its repository here: mvn ${dependencyPlugin}:help`,
  });
}
