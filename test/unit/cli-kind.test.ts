// Proves that the command line and the Pulumi program do not change each other's kind cluster, and how Docker is called
// to build.
// Does not prove that a cluster or an image is created: kind and Docker are scripts here.
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { refuseOwnCluster } from "../../cli/pulumi.ts";
import { contextOf } from "../../cli/target.ts";
import { kindUpSteps, kubeconfigPath } from "../../local/cluster/index.ts";
import { buildByDocker, buildFileByDocker } from "../../local/images/docker.ts";
import { ensureImages, ensureImagesByDocker } from "../../local/images/index.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "cli-kind-"));
  vi.stubEnv("PLATFORM_STATE", join(folder, "state"));
  vi.stubEnv("PATH", `${folder}:${process.env.PATH}`);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

/** kind with one cluster. */
function clusterCalled(name: string) {
  writeFileSync(join(folder, "kind"), `#!/bin/sh\ntest "$1 $2" != "get clusters" || echo ${name}\n`);
  chmodSync(join(folder, "kind"), 0o755);
}

function kubeconfigFor(context: string) {
  mkdirSync(dirname(kubeconfigPath()), { recursive: true });
  const contexts = [{ name: context, context: { cluster: "c", user: "u" } }];
  const config = { apiVersion: "v1", kind: "Config", "current-context": context, contexts, clusters: [], users: [] };
  writeFileSync(kubeconfigPath(), JSON.stringify(config));
}

describe("the context that Pulumi gets", () => {
  it("is the local cluster's, so that a stack with cluster: kind creates no other", () => {
    kubeconfigFor("kind-data-platform");
    expect(contextOf({ cluster: "kind", why: "" })).toBe("kind-data-platform");
  });

  it("is the requested one, whatever clusters exist", () => {
    kubeconfigFor("kind-data-platform");
    expect(contextOf({ cluster: "context", context: "mine", why: "" })).toBe("mine");
  });

  it("is undefined before the cluster exists", () => {
    expect(contextOf({ cluster: "kind", why: "" })).toBeUndefined();
  });
});

describe("a kind cluster of the platform's name", () => {
  const skipped = () => kindUpSteps().find(({ title }) => title === "Create the kind cluster")!.skip!();

  it("is created if it does not exist", async () => {
    clusterCalled("another");
    expect(await skipped()).toBe(false);
  });

  it("is used if this command created it", async () => {
    clusterCalled("data-platform");
    kubeconfigFor("kind-data-platform");
    expect(await skipped()).toBe("exists already");
  });

  it("is refused if this command did not create it, with two ways to continue", async () => {
    clusterCalled("data-platform");
    await expect(skipped()).rejects.toThrow(
      "kind has a cluster data-platform that this command did not make, or not to its end: --context kind-data-platform uses it, " +
        "and `kind delete cluster --name data-platform` takes it away",
    );
  });
});

describe("images for kind's cluster", () => {
  const notes = () => readFileSync(join(folder, "notes"), "utf8").trim().split("\n");
  const docker = (script: string, { version = "20.10.24", buildx = false } = {}) => {
    const answers = `case $1 in version) echo ${version}; exit ;; buildx) exit ${buildx ? 0 : 1} ;; esac`;
    const note = `echo "$DOCKER_BUILDKIT $*" >> ${folder}/notes`;
    writeFileSync(join(folder, "docker"), `#!/bin/sh\n${answers}\n${note}\n${script}\n`);
    chmodSync(join(folder, "docker"), 0o755);
  };

  beforeEach(() => {
    vi.stubEnv("PLATFORM_CACHE", join(folder, "cache"));
    vi.stubEnv("PLATFORM_IMAGES", "pull");
    vi.stubGlobal("fetch", () => Promise.reject(new Error("no registry here")));
  });
  afterEach(() => void vi.unstubAllGlobals());

  it("are only the platform's own, built from their folders by Docker and pushed", async () => {
    docker("");
    const steps = ensureImagesByDocker(["redis:8.2.10", "data-platform/noetl:2.5.5", "data-platform/polls:1.0.0"]);
    for (const { skip, run } of steps) if (!(await skip?.())) await run(() => {});
    expect(notes().map((line) => line.replaceAll(process.cwd(), "."))).toEqual([
      "1 build --progress=plain --tag localhost:5001/data-platform/noetl:2.5.5 --file ./apps/noetl/Dockerfile --build-arg=VERSION=2.5.5 ./apps/noetl",
      " push --quiet localhost:5001/data-platform/noetl:2.5.5",
      "1 build --progress=plain --tag localhost:5001/data-platform/polls:1.0.0 --file ./apps/polls/Dockerfile ./apps/polls",
      " push --quiet localhost:5001/data-platform/polls:1.0.0",
    ]);
  });

  it("are not pushed if the build fails; the error has its last output", async () => {
    docker("echo no such base; exit 1");
    const step = ensureImagesByDocker(["data-platform/polls:1.0.0"]).at(-1);
    await expect(step!.run(() => {})).rejects.toThrow(/`docker build .*` failed with exit code 1:\n {2}no such base/);
    expect(notes()).toHaveLength(1);
  });

  describe("if only the local registry has their base images", () => {
    const provided: string[] = [];
    const provide = async (images: string[]) => void provided.push(...images);
    const built = () => readFileSync(join(folder, "built"), "utf8");
    beforeEach(() => {
      provided.length = 0;
      vi.stubEnv("PLATFORM_IMAGES", "auto");
      // Keeps the Dockerfile of the call.
      docker(`
        previous=
        for word in "$@"; do [ "$previous" != --file ] || cp "$word" ${folder}/built; previous=$word; done`);
    });

    it("use those, which are pushed before", async () => {
      await buildByDocker("data-platform/polls:1.0.0", provide, () => {});
      expect(provided).toEqual(["python:3.13.9-slim-trixie"]);
      expect(built()).toContain("FROM localhost:5001/library/python:3.13.9-slim-trixie\n");
      expect(notes()[0]).toMatch(/^1 build .* --tag localhost:5001\/data-platform\/polls:1\.0\.0 .*\/context$/);
      expect(notes()[1]).toBe(" push --quiet localhost:5001/data-platform/polls:1.0.0");
    });

    it("trust the machine's certificates in every step, by a secret that no layer keeps", async () => {
      await buildByDocker("data-platform/polls:1.0.0", provide, () => {});
      const certificates = "/etc/ssl/certs/ca-certificates.crt";
      expect(notes()[0]?.includes(`--secret=id=certificates,src=${certificates} `)).toBe(existsSync(certificates));
      const steps = built().match(/^RUN .*/gm)!;
      expect(steps.length).toBeGreaterThan(1);
      for (const step of steps)
        expect(step.startsWith("RUN --mount=type=secret,id=certificates,")).toBe(existsSync(certificates));
    });

    it("change only the unreachable base images of a user's Dockerfile, in a copy", async () => {
      const dockerfile = join(folder, "Dockerfile.mine");
      writeFileSync(dockerfile, "FROM localhost:5001/mine:1\nCOPY --from=redis:8.2.10 /a /b\n");
      await buildFileByDocker({ context: folder, dockerfile, tag: "apps/mine:1" }, provide, () => {});
      expect(provided).toEqual(["redis:8.2.10"]);
      expect(built()).toMatch(/^FROM localhost:5001\/mine:1\n/);
      expect(built()).toContain("COPY --from=localhost:5001/library/redis:8.2.10 /a /b\n");
      expect(readFileSync(dockerfile, "utf8")).toContain("--from=redis:8.2.10");
    });
  });

  it("are not built by a Docker without buildx; the error says what to install", async () => {
    const steps = () => ensureImagesByDocker(["data-platform/polls:1.0.0"]);
    docker("", { version: "28.2.2" });
    await expect(
      steps()
        .at(-1)!
        .run(() => {}),
    ).rejects.toThrow(/docker 28\.2\.2 has no plugin buildx.*install docker-buildx-plugin.*PLATFORM_IMAGES=packages/);
    docker("", { version: "28.2.2", buildx: true });
    await steps()
      .at(-1)!
      .run(() => {});
    expect(notes()).toHaveLength(2);
  });

  it("are built from packages and not by Docker, if configured", () => {
    vi.stubEnv("PLATFORM_IMAGES", "packages");
    const titles = ensureImagesByDocker(["data-platform/polls:1.0.0"]).map(({ title }) => title);
    expect(titles).toEqual(ensureImages(["data-platform/polls:1.0.0"]).map(({ title }) => title));
  });

  it("are pulled from no registry if they are the platform's own, on any cluster", async () => {
    const steps = ensureImages(["data-platform/polls:1.0.0", "redis:8.2.10"]);
    const skipped = async (image: string) => steps.find(({ title }) => title.startsWith(`Image ${image} `))!.skip!();
    expect(await skipped("redis:8.2.10")).toBe("comes from docker.io");
    expect(await skipped("data-platform/polls:1.0.0")).toBe(false);
  });
});

describe("a stack that includes its cluster", () => {
  it("is refused, since with a context from outside Pulumi would delete the cluster", () => {
    const resources = [{ type: "pulumi:pulumi:Stack" }, { type: "data-platform:index:Kind" }];
    expect(() => refuseOwnCluster("dev", resources)).toThrow(
      "stack dev: Pulumi created its kind cluster, which belongs to the stack; expected `pulumi up --stack dev` or `pulumi destroy --stack dev`",
    );
    expect(() => refuseOwnCluster("dev", resources.slice(0, 1))).not.toThrow();
    expect(() => refuseOwnCluster("dev")).not.toThrow();
  });
});
