// Proves what is computed before a build: names, keys, sources, a Dockerfile's base images.
// Does not prove that a build works, nor an image's contents: the cluster tests run them.

import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "smol-toml";
import { afterEach, describe, expect, it, vi } from "vitest";
import { derivedImages } from "../../components/images.ts";
import { localName, parseReference } from "../../components/kind/reference.ts";
import { parseConfig } from "../../config/problems.ts";
import { debianSources, parseDeb822, parseOneLine } from "../../local/images/apt.ts";
import { registriesConf, trusting } from "../../local/images/build.ts";
import { type Definition, definitionOf, definitions, folderOf } from "../../local/images/definitions.ts";
import { checkDockerfile, imagesUnder, readDockerfile, rewritten } from "../../local/images/dockerfile.ts";
import { inOrder } from "../../local/images/index.ts";
import { dockerfileOf, filesIn, type Ingredients, keyOf } from "../../local/images/key.ts";
import { answers, canBePulled, imageMode } from "../../local/images/mode.ts";
import { run } from "../../local/images/run.ts";
import { assertCanBuild } from "../../local/images/tools.ts";

describe("local name", () => {
  const digest = `sha256:${"ab".repeat(32)}`;
  it.each([
    ["redis:8.2.1", "localhost:5001/library/redis:8.2.1"],
    ["docker.io/redis:8.2.1", "localhost:5001/library/redis:8.2.1"],
    ["docker.io/library/redis:8.2.1", "localhost:5001/library/redis:8.2.1"],
    ["apache/kafka:4.3.1", "localhost:5001/apache/kafka:4.3.1"],
    ["quay.io/minio/minio:RELEASE.2025-09-07T16-13-09Z", "localhost:5001/minio/minio:RELEASE.2025-09-07T16-13-09Z"],
    ["registry.k8s.io/pause:3.10", "localhost:5001/pause:3.10"],
    ["ghcr.io/projectnessie/nessie", "localhost:5001/projectnessie/nessie:latest"],
    ["registry.example.com:8443/team/app:1.0", "localhost:5001/team/app:1.0"],
    ["localhost/app:1.0", "localhost:5001/app:1.0"],
    [`redis:8.2.1@${digest}`, `localhost:5001/library/redis:8.2.1@${digest}`],
  ])("%s is %s", (reference, name) => {
    expect(localName(reference)).toBe(name);
  });

  it("does not exist for an invalid image reference", () => {
    expect(() => localName("redis:8.2.1@sha256:abc")).toThrow(
      'found "redis:8.2.1@sha256:abc"; expected an image reference such as quay.io/minio/minio:1.0',
    );
  });

  it("is its own local name", () => {
    expect(localName(localName("redis:8.2.1"))).toBe("localhost:5001/library/redis:8.2.1");
  });

  it("reads a port as the registry's, not as a tag", () => {
    expect(parseReference("registry.example.com:8443/app")).toEqual({
      host: "registry.example.com:8443",
      path: "app",
      tag: "latest",
      digest: undefined,
    });
  });
});

describe("apt sources", () => {
  const mirror = "http://mirror.example/debian";
  const expected = [
    "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://mirror.example/debian trixie main",
    "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://mirror.example/debian trixie-updates main",
    "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://mirror.example/debian-security trixie-security main",
  ];

  it("come from deb822 files, beside third-party repositories", () => {
    const host = [
      ...parseDeb822(`Types: deb\nURIs: https://packages.example/other\nSuites: bookworm\nComponents: main\n`),
      ...parseDeb822(
        `# A comment\nTypes: deb deb-src\n# Another, in the paragraph\nURIs: ${mirror}\nSuites: bookworm\n bookworm-updates\n` +
          `Components: main contrib\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n x\n\n` +
          `Types: deb\nURIs: ${mirror}-security\nSuites: bookworm-security\nComponents: main\n`,
      ),
    ];
    expect(debianSources(host, "trixie")).toEqual(expected);
  });

  it("come from one-line files", () => {
    const host = parseOneLine(
      `# deb http://commented.example/debian bookworm main\ndeb-src ${mirror} bookworm main\n` +
        `deb [arch=amd64 signed-by=/x.gpg] ${mirror} bookworm main contrib # here\ndeb ${mirror} bookworm-updates main\n` +
        `deb ${mirror}-security bookworm-security main\n`,
    );
    expect(debianSources(host, "trixie")).toEqual(expected);
  });

  it("omit disabled paragraphs and sources without packages", () => {
    const paragraph = `URIs: ${mirror}\nSuites: bookworm\nComponents: main\n`;
    expect(parseDeb822(`Enabled: no\nTypes: deb\n${paragraph}`)).toEqual([]);
    expect(parseDeb822(`Types: deb-src\n${paragraph}`)).toEqual([]);
  });

  it("omit the security suite if the machine has none", () => {
    expect(debianSources(parseOneLine(`deb ${mirror} sid main`), "trixie")).toEqual(expected.slice(0, 2));
  });

  it("are refused if the machine has only another distribution's", () => {
    const ubuntu = parseOneLine(
      "deb http://archive.example/ubuntu noble main\ndeb http://archive.example/ubuntu noble-updates main",
    );
    expect(() => debianSources(ubuntu, "trixie")).toThrow(/has no Debian mirror .*PLATFORM_IMAGES=pull/);
  });
});

describe("a Dockerfile's base image", () => {
  it("is every FROM and COPY --from, but not its own stages", () => {
    const dockerfile = `ARG BASE=debian:trixie-slim
FROM --platform=linux/amd64 golang:1.26 AS Build
COPY --from=busybox:1.36 /bin/sh /bin/sh
FROM \${BASE}
COPY --chown=1:1 --from=build /a /a
COPY --from=0 /b /b
FROM scratch
COPY --from=1 / /
RUN echo FROM nothing`;
    expect(imagesUnder(dockerfile)).toEqual(["golang:1.26", "busybox:1.36", "debian:trixie-slim"]);
  });

  it("is not read from a here-document, and is read from lines with CRLF", () => {
    const dockerfile = "FROM a:1 \\\r\n  AS one\r\nRUN <<EOF\r\nFROM b:1\r\nEOF\r\nCOPY --link --from=c:1 / /\r\n";
    expect(imagesUnder(dockerfile)).toEqual(["a:1", "c:1"]);
    expect(trusting("FROM a:1\nRUN <<EOF\nFROM b:1\nEOF\n").match(/^ARG /gm)).toHaveLength(1);
  });

  it("is looked up in this machine's registry first, and nowhere else if images are built from packages", () => {
    const registries = (mode: "auto" | "packages") => parse(registriesConf(["ghcr.io/a/b:1"], mode)).registry;
    const local = { location: "localhost:5001", insecure: true };
    expect(registries("auto")).toEqual([
      { prefix: "docker.io", location: "docker.io", mirror: [local] },
      { prefix: "ghcr.io", location: "ghcr.io", mirror: [local] },
      local,
    ]);
    expect(registries("packages")).toEqual([{ prefix: "docker.io", ...local }, { prefix: "ghcr.io", ...local }, local]);
  });

  it("gets the machine's certificates in every stage, and no words in between", () => {
    const arg = /^ARG SSL_CERT_FILE=\S+( \w+=\S+)+$/;
    const lines = trusting("# syntax=x\nFROM a \\\n  AS one\nRUN echo \\\nFROM b\nFROM scratch").split("\n");
    expect(lines.map((line) => (arg.test(line) ? "ARG" : line))).toEqual([
      "# syntax=x",
      "FROM a \\",
      "  AS one",
      "ARG",
      "RUN echo \\",
      "FROM b",
      "FROM scratch",
      "ARG",
      "",
    ]);
  });
});

describe("a Dockerfile", () => {
  const context = mkdtempSync(join(tmpdir(), "context-"));
  writeFileSync(join(context, "there"), "");
  const check = (lines: string, builder?: string) => checkDockerfile(`FROM scratch\n${lines}\n`, context, builder);

  it.each([
    ["RUN <<EOF\necho\nEOF", "a here-document", "1.33.0", "1.4"],
    ["COPY <<EOF /there\nx\nEOF", "a here-document", "1.33.0", "1.4"],
    ["ADD --checksum=sha256:0 https://example.com/a /a", "ADD --checksum", "1.33.0", "1.6"],
    ["COPY --exclude=*.pyc . /app", "COPY --exclude", "1.38.0", "1.19"],
    ["COPY --parents there /app", "COPY --parents", "1.40.0", "1.20"],
    ["COPY --link there /app", "COPY --link", "1.41.0", "1.4"],
  ])("with %j reports which builder supports it", (lines, what, buildah, syntax) => {
    const sentence = `line 2: ${what} needs buildah ${buildah} or newer (with Docker: Dockerfile syntax ${syntax})`;
    expect(check(lines)).toEqual({ problems: [], notes: [sentence] });
    expect(check(lines, "1.28.2")).toEqual({ problems: [`${sentence}; found buildah 1.28.2`], notes: [] });
    expect(check(lines, buildah)).toEqual({ problems: [], notes: [] });
  });

  it.each([
    ["COPY gone /app", "line 2: COPY gone: there is no such file in the build context"],
    ['ADD ["there", "gone too", "/app/"]', "line 2: ADD gone too: there is no such file in the build context"],
    ["RUM pip install", "line 2: found RUM; expected an instruction such as RUN"],
    [
      "RUN --security=insecure true",
      "line 2: RUN --security needs Docker, since no version of buildah knows it (with Docker: Dockerfile syntax 1.20); found buildah 1.44.0",
    ],
  ])("with %j is refused", (lines, problem) => {
    expect(check(lines, "1.44.0").problems).toEqual([problem]);
  });

  it.each(["COPY . .", "COPY there /there /app/", "ARG D=there\nCOPY $D *.txt /app/", "ADD https://example.com/a /a"])(
    "with %j is taken",
    (lines) => {
      expect(check(lines, "1.28.2").problems).toEqual([]);
    },
  );

  it.each([
    ["", "no instruction"],
    ["# nothing\n", "no instruction"],
    ["ARG A=1\nRUN true\n", "RUN in line 2"],
  ])("%j is refused", (text, found) => {
    expect(checkDockerfile(text, context).problems).toEqual([
      `found ${found}; expected FROM before any other instruction but ARG`,
    ]);
  });

  it("is read without a byte order mark and CRLF", () => {
    writeFileSync(join(context, "Dockerfile"), "\uFEFFFROM scratch\r\nCOPY there \\\r\n  /app\r\n");
    expect(readDockerfile(join(context, "Dockerfile"))).toBe("FROM scratch\nCOPY there \\\n  /app\n");
  });
});

describe("rewritten", () => {
  it("replaces images in FROM and COPY --from, also by an ARG, and keeps stages", () => {
    const text =
      "ARG BASE=redis:8\nFROM $BASE AS one\nFROM busybox:1.36\nCOPY --from=one /a /\nCOPY --from=redis:8 --chmod=0644 /a /\n";
    expect(rewritten(text, new Map([["redis:8", "mirror/redis:8"]]))).toBe(
      "ARG BASE=redis:8\nFROM mirror/redis:8 AS one\nFROM busybox:1.36\nCOPY --from=one /a /\nCOPY --from=mirror/redis:8 --chmod=0644 /a /\n",
    );
  });

  it("adds a flag to each RUN, before its own", () => {
    const text = "FROM a:1\nRUN --mount=type=cache,target=/c one \\\n && RUN\n run two\n# RUN three\n";
    expect(rewritten(text, new Map(), "--flag")).toBe(
      "FROM a:1\nRUN --flag --mount=type=cache,target=/c one \\\n && RUN\n RUN --flag two\n# RUN three\n",
    );
  });
});

describe("key", () => {
  const ingredients: Ingredients = {
    files: [["Dockerfile", "1"]],
    artifacts: [{ kind: "go", package: "example.com/a", output: "a" }],
    under: ["base"],
    sources: ["deb x"],
  };
  const key = keyOf("redis:8.2.1", ingredients);

  it("is the same without a change, however the name is written", () => {
    expect(keyOf("docker.io/library/redis:8.2.1", structuredClone(ingredients))).toBe(key);
  });

  it.each<[string, string, Partial<Ingredients>]>([
    ["the tag", "redis:8.2.2", {}],
    ["the repository", "valkey:8.2.1", {}],
    ["a file's content", "redis:8.2.1", { files: [["Dockerfile", "2"]] }],
    ["a file's name", "redis:8.2.1", { files: [["dockerfile", "1"]] }],
    ["an artifact", "redis:8.2.1", { artifacts: [{ kind: "go", package: "example.com/a", output: "b" }] }],
    ["the image below", "redis:8.2.1", { under: ["other"] }],
    ["the mirror", "redis:8.2.1", { sources: ["deb y"] }],
  ])("changes with %s", (_, reference, change) => {
    expect(keyOf(reference, { ...ingredients, ...change })).not.toBe(key);
  });

  it("does not depend on what tools write into an application's folder", () => {
    const folder = mkdtempSync(join(tmpdir(), "data-platform-key-"));
    const write = (path: string) => {
      mkdirSync(join(folder, path, ".."), { recursive: true });
      writeFileSync(join(folder, path), "");
    };
    for (const path of [".dockerignore", "app/main.py"]) write(path);
    const before = filesIn(folder);
    for (const path of [".venv/a", "app/__pycache__/a.pyc", "node_modules/a", "app/.hypothesis/a"]) write(path);
    expect(filesIn(folder)).toEqual(before);
    expect(before.map(([path]) => path)).toEqual([".dockerignore", "app/main.py"]);
  });
});

describe("definitions", () => {
  it("exist for each folder with a Dockerfile, and for no other", () => {
    const below = (folder: string) => readdirSync(folder).map((name) => join(folder, name));
    const images = below("components").map((component) => join(component, "images"));
    const folders = ["apps", "local/images", ...images.filter((path) => existsSync(path))]
      .flatMap(below)
      .filter((path) => existsSync(join(path, "Dockerfile")));
    const config = parseConfig("unit", { global: { cluster: "kind" }, airflow: { packages: ["pandas==2.3.3"] } });
    const known = [...definitions, ...derivedImages(config)].map(({ folder }) => folder);
    expect([...new Set(known)].sort()).toEqual(folders.sort());
  });

  it.each(definitions.map((definition) => [definition.folder, definition] as const))(
    "%s has every file that it names",
    (_, it) => {
      const dockerfile = dockerfileOf(it);
      for (const artifact of it.artifacts ?? []) {
        expect(dockerfile).toMatch(
          new RegExp(`^(COPY|ADD|RUN --mount=type=bind,source=).*\\b${artifact.output}\\b`, "m"),
        );
        if (artifact.kind === "go") expect(existsSync(join(folderOf(it), "go", "go.mod"))).toBe(true);
      }
      for (const image of imagesUnder(dockerfile)) expect(definitionOf(image), image).toBeDefined();
    },
  );

  const own = definitions.filter((definition) => definition.own);
  const fileOf = (it: Definition) => readFileSync(join(folderOf(it), "Dockerfile"), "utf8");

  it.each(own.map((it) => [it.folder, it] as const))(
    "%s is built by Docker from what is in its folder alone",
    (_, it) => {
      const stages = fileOf(it)
        .split(/^FROM /m)
        .slice(1);
      const artifacts = stages.find((stage) => / AS artifacts\n/.test(stage)) ?? "";
      expect(artifacts !== "").toBe((it.artifacts ?? []).length > 0);
      for (const { output } of it.artifacts ?? [])
        expect(artifacts).toMatch(new RegExp(`(-o |-DoutputDirectory=)/${output}\\b`));
      for (const [, sources] of fileOf(it).matchAll(/^COPY (?!--from)(.*) \S+$/gm))
        for (const source of sources!.split(" ")) expect(existsSync(join(folderOf(it), source)), source).toBe(true);
    },
  );

  it.each(own.map((it) => [it.folder, it] as const))("%s is pinned to a release, and does not run as root", (_, it) => {
    for (const image of imagesUnder(fileOf(it))) expect(image).toMatch(/:\d+\.\d+\.\d+(-|$)/);
    expect(
      fileOf(it)
        .match(/^USER (.*)$/gm)
        ?.at(-1),
    ).toMatch(/^USER (?!root|0)\S+$/);
  });

  it("use the host's build instead of Docker's build stage", () => {
    const deployd = definitions.find(({ folder }) => folder === "apps/deployd")!;
    expect(dockerfileOf(deployd)).toMatch(
      /^#.*\nFROM scratch AS artifacts\nCOPY helm \/helm\nCOPY kustomize \/kustomize\nFROM node:/,
    );
    const python = definitions.find(({ folder }) => folder === "local/images/python")!;
    expect(dockerfileOf(python)).toBe(fileOf(python));
  });

  it("replace images of their repository, however it is written", () => {
    expect(definitionOf("docker.io/library/redis:8.9.9")?.folder).toBe("components/redis/images/redis");
    expect(definitionOf("quay.io/minio/minio:any")?.folder).toBe("components/minio/images/minio");
    expect(definitionOf("ghcr.io/someone/redis:8.2.1")).toBeUndefined();
  });

  it("are not used for a major version with another data layout", () => {
    expect(definitionOf("postgres:17.11")?.folder).toBe("components/postgresql/images/postgres");
    expect(definitionOf("postgres:17")?.folder).toBe("components/postgresql/images/postgres");
    expect(definitionOf("postgres:18.1")).toBeUndefined();
    expect(definitionOf("postgres:171")).toBeUndefined();
  });

  it("come after their base images, each of which comes once", () => {
    expect(inOrder(["redis:8.2.1", "debian:trixie-slim", "busybox:1.36"])).toEqual([
      "debian:trixie-slim",
      "redis:8.2.1",
      "busybox:1.36",
    ]);
  });
});

describe("building", () => {
  it("reports that it needs root", () => {
    vi.spyOn(process, "getuid").mockReturnValue(1000);
    expect(assertCanBuild).toThrow(/on Linux as root only.*PLATFORM_IMAGES=pull/);
    vi.restoreAllMocks();
  });

  it("fails with the command's last lines and what to do next", async () => {
    const script = "for i in $(seq 20); do echo line $i; done; echo problem >&2; exit 3";
    await expect(run(() => {}, ["sh", "-c", script], { name: "the build", hint: "Try again." })).rejects.toThrow(
      /^`the build` failed with exit code 3:\n {2}line 10\n(.|\n)* {2}line 20\n {2}problem\nTry again\.$/,
    );
    await expect(run(() => {}, ["no-such-program"])).rejects.toThrow(/`no-such-program` failed.*ENOENT/);
  });
});

describe("whether an image can be pulled", () => {
  afterEach(() => {
    vi.unstubAllEnvs();
  });

  it("is checked once per registry", async () => {
    vi.stubEnv("PLATFORM_IMAGES", "auto");
    const ask = vi.fn(async (url: string) => url.includes("one"));
    expect(
      await Promise.all(["one.example/a:1", "one.example/b:1", "two.example/a:1"].map((r) => canBePulled(r, ask))),
    ).toEqual([true, true, false]);
    expect(ask.mock.calls).toEqual([["https://one.example"], ["https://two.example"]]);
  });

  it.each([
    ["packages", false],
    ["pull", true],
  ])("is not checked with PLATFORM_IMAGES=%s", async (mode, pulled) => {
    vi.stubEnv("PLATFORM_IMAGES", mode);
    const ask = vi.fn(async () => !pulled);
    expect(await canBePulled("three.example/a:1", ask)).toBe(pulled);
    expect(ask).not.toHaveBeenCalled();
  });

  it("counts a login as yes, a refusal or a proxy's page as no, and has a short timeout", async () => {
    const registry = { "docker-distribution-api-version": "registry/2.0" };
    const replies: Record<string, [number, Record<string, string>]> = {
      "/open/v2/": [200, registry],
      "/login/v2/": [401, { "www-authenticate": "Bearer" }],
      "/moved/v2/": [307, { location: "/login/v2/" }],
      "/refused/v2/": [403, {}],
      "/page/v2/": [200, {}],
    };
    const server = createServer((request, response) => {
      const reply = replies[request.url ?? ""];
      if (reply) response.writeHead(...reply).end();
    }).listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    expect(await answers(`${url}/open`)).toBe(true);
    expect(await answers(`${url}/login`)).toBe(true);
    expect(await answers(`${url}/moved`)).toBe(true);
    expect(await answers(`${url}/refused`)).toBe(false);
    expect(await answers(`${url}/page`)).toBe(false);
    expect(await answers(`${url}/silent`, 50)).toBe(false);
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    expect(await answers(`${url}/gone`)).toBe(false);
  });

  it("refuses a mode that does not exist", () => {
    expect(() => imageMode("packges")).toThrow('PLATFORM_IMAGES is "packges"; it can be auto, packages or pull.');
  });
});
