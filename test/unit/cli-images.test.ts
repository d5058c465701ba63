// Proves that `images list` names every image with its keys, that `pin` writes the digests that it finds and keeps and
// names the others, and that `mirror` copies what is missing and goes on after a failure; with crane against a registry
// too, if crane is built here.
// Does not prove access to a public registry, nor its credentials.
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { parse, stringify } from "yaml";
import { list, mirror, pin, stackImages, withDigests } from "../../cli/images.ts";
import { stackFile } from "../../cli/project.ts";
import { groups, moduleOf } from "../../local/cluster/binaries.ts";
import { builtDir } from "../../local/go.ts";
import { crane, type Registries } from "../../local/images/crane.ts";
import { UserError } from "../../local/step.ts";
import { containersIn } from "../../policy/rules/object.ts";
import { evaluated, named, only } from "../program/stacks.ts";

let folder: string;
let file: string;
const said: string[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "images-"));
  file = join(folder, "stack.yaml");
  copyFileSync("Pulumi.dev.yaml", file);
  said.length = 0;
  vi.spyOn(console, "log").mockImplementation((line: string) => void said.push(line));
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true });
});

const digestOf = (character: string) => `sha256:${character.repeat(64)}`;
const options = () => ({ stack: "dev", configFile: file });
const configured = () => parse(readFileSync(file, "utf8")).config["data-platform:global"].imageDigests;

/** Registries that have these images, by reference. */
const fake = (has: Record<string, string>) => {
  const copied: string[] = [];
  const registries: Registries = {
    digest: async (reference) => {
      const digest = has[reference];
      if (!digest) throw new UserError("NOT_FOUND: no such image");
      return digest;
    },
    copy: async (source, target) => {
      const digest = has[source.replace(/(:[\w.-]+)@.*/, "$1")];
      if (!digest) throw new UserError("UNAUTHORIZED: authentication required");
      has[target] = digest;
      copied.push(`${source} → ${target}`);
    },
  };
  return { registries, copied };
};

const shipped = {
  "postgres:17.12": digestOf("1"),
  "redis:8.2.10": digestOf("2"),
  "quay.io/minio/minio:RELEASE.2025-09-07T16-13-09Z": digestOf("3"),
  "ghcr.io/projectnessie/nessie:0.99.0": digestOf("4"),
  "nats:2.12.15": digestOf("5"),
};

describe("list", () => {
  it("takes a file with encrypted values", async () => {
    const secure = { secure: "v1:AAAAAAAAAAAAAAAA:BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB" };
    const { config } = parse(readFileSync(file, "utf8"));
    const nessie = { ...config["data-platform:nessie"], env: { GREETING: secure } };
    writeFileSync(file, stringify({ config: { ...config, "data-platform:nessie": nessie } }));
    await list(options());
    expect(said.join("\n")).toContain("redis:8.2.10");
  });

  it("names each image once, with all keys that it is from", async () => {
    await list({ ...options(), format: "json" });
    const images = JSON.parse(said.join("\n"));
    const of = (image: string) => images.find((one: { image: string }) => one.image === image);
    expect(of("redis:8.2.10").keys).toEqual(["redis.image", "webApp.redis.image"]);
    expect(of("data-platform/polls:1.0.0")).toMatchObject({ isOwn: true, keys: ["polls.image"] });
    expect(of("data-platform/polls:1.0.0").usedBy).toContain("Deployment dev-apps/polls");
    expect(images.filter(({ keys }: { keys: string[] }) => keys.length === 0)).toEqual([]);
  });

  it("finds every image of every pod, and the keys of one that the program derives from a version", async () => {
    const { images } = await stackImages(stackFile("prod"));
    const { objects } = await evaluated("prod");
    const used = new Set(objects.flatMap((object) => containersIn(object).map(({ image }) => image)));
    expect(images.map(({ reference }) => reference)).toEqual([...used].sort());
    expect(images.find(({ reference }) => reference.includes("noetl"))?.keys).toEqual(["noetl.image"]);
  });

  it("names an image as pods do, in the mirror", async () => {
    writeFileSync(file, "config:\n  data-platform:global:\n    imageRegistry: registry.example.com/mirror\n");
    await list(options());
    expect(said.join("\n")).toMatch(/^registry\.example\.com\/mirror\/trinodb\/trino:476\s+trino\.image$/m);
  });
});

describe("pin", () => {
  it("writes what it finds, names what it does not, and keeps the rest of the file", async () => {
    const before = readFileSync(file, "utf8");
    const { "nats:2.12.15": _, ...found } = shipped;
    await expect(pin(options(), fake(found).registries)).rejects.toThrow(
      "not resolved:\nnats:2.12.15: NOT_FOUND: no such image",
    );
    expect(configured()).toEqual(found);
    const without = readFileSync(file, "utf8").replace(/ {4}imageDigests:\n( {6}.*\n)+/, "");
    expect(without).toBe(before);
  });

  it("keeps the digest of what cannot be resolved now, and drops what the stack no longer has", async () => {
    const old = { "postgres:17.12": digestOf("9"), "postgres:16.1": digestOf("8") };
    writeFileSync(file, withDigests(readFileSync(file, "utf8"), { project: "data-platform", path: file }, old));
    const { "postgres:17.12": _, ...found } = shipped;
    await expect(pin(options(), fake(found).registries)).rejects.toThrow(`it keeps ${digestOf("9")}`);
    expect(configured()).toEqual({ ...found, "postgres:17.12": digestOf("9") });
  });

  it("changes nothing at the second run", async () => {
    await pin(options(), fake(shipped).registries);
    const after = readFileSync(file, "utf8");
    await pin(options(), fake(shipped).registries);
    expect(readFileSync(file, "utf8")).toBe(after);
    expect(said.at(-1)).toBe("stack.yaml: has these digests already");
  });

  it("asks the mirror, which has the platform's own images too", async () => {
    const text = readFileSync(file, "utf8").replace("cluster: embedded", "imageRegistry: registry.example.com");
    writeFileSync(file, text);
    const has = { "registry.example.com/data-platform/polls:1.0.0": digestOf("7") };
    await expect(pin(options(), fake(has).registries)).rejects.toThrow(/registry\.example\.com\/library\/postgres/);
    expect(configured()).toEqual({ "data-platform/polls:1.0.0": digestOf("7") });
  });

  it.each(["", "config: {}\n", "config:\n  data-platform:redis: { enabled: true }\n", "config:\n  global:\n"])(
    "adds the block to a file that has none: %j",
    (text) => {
      const digests = { "postgres:17.12": digestOf("1") };
      const written = parse(withDigests(text, { project: "data-platform", path: "x" }, digests));
      const global = written.config["data-platform:global"] ?? written.config.global;
      expect(global).toEqual({ imageDigests: digests });
    },
  );
});

describe("mirror", () => {
  const to = "registry.example.com/mirror";

  it("copies under the names that pods have with global.imageRegistry, and pinned ones by digest", async () => {
    await pin(options(), fake(shipped).registries);
    const own = ["polls:1.0.0", "web-app:1.0.0", "noetl:4.26.0", "deployd:1.0.0"];
    const local = Object.fromEntries(own.map((one) => [`localhost:5001/data-platform/${one}`, digestOf("6")]));
    const { registries, copied } = fake({ ...shipped, ...local });
    await mirror({ ...options(), to }, registries);
    expect(copied).toContain(`postgres:17.12@${digestOf("1")} → ${to}/library/postgres:17.12`);
    expect(copied).toContain(`localhost:5001/data-platform/polls:1.0.0 → ${to}/data-platform/polls:1.0.0`);
    expect(said.at(-1)).toBe(`9 of 9 images of stack dev are in ${to}`);
    const changes = { global: { imageRegistry: to } };
    const { objects } = await evaluated("dev", { changes: JSON.stringify(changes) });
    const pods = new Set(objects.flatMap((object) => containersIn(object).map(({ image }) => image)));
    expect(copied.map((line) => line.replace(/.* → /, "")).sort()).toEqual([...pods].sort());
  });

  it("goes on after a failure, names it, and copies only what is missing at the next run", async () => {
    const { "redis:8.2.10": redis, ...found } = shipped;
    const first = fake(found);
    await expect(mirror({ ...options(), to }, first.registries)).rejects.toThrow(
      /not copied:\n[\s\S]*redis:8\.2\.10: UNAUTHORIZED/,
    );
    expect(first.copied).toHaveLength(4);
    const done = Object.fromEntries(
      first.copied
        .map((line) => line.split(" → "))
        .map(([source = "", target = ""]) => [target, found[source as never]]),
    );
    const second = fake({ ...found, "redis:8.2.10": redis, ...done });
    await expect(mirror({ ...options(), to }, second.registries)).rejects.toThrow(/localhost:5001/);
    expect(second.copied).toEqual([`redis:8.2.10 → ${to}/library/redis:8.2.10`]);
  });

  it("is refused without a target", async () => {
    await expect(mirror(options(), fake({}).registries)).rejects.toThrow(/^--to: found nothing/);
  });
});

it("pods name a pinned image by tag and digest, and no other", async () => {
  const changes = {
    ...only("redis", "postgresql"),
    global: { imageDigests: { "redis:8.2.10": digestOf("2") }, imageRegistry: "registry.example.com" },
  };
  const program = await evaluated("dev", { changes: JSON.stringify(changes) });
  const image = (name: string) => containersIn(named(program, "StatefulSet", name))[0].image;
  expect(image("redis")).toBe(`registry.example.com/library/redis:8.2.10@${digestOf("2")}`);
  expect(image("postgresql")).toBe("registry.example.com/library/postgres:17.12");
});

const built = await builtDir("crane", { ...groups.crane, dir: moduleOf("crane") }).then(
  (path) => existsSync(path),
  () => false,
);

// Building crane takes minutes on a machine that has not built it: the local cluster does.
describe.skipIf(!built)("crane, which this machine has built", () => {
  it("copies an image to a registry and finds its digest there", { timeout: 60_000 }, async () => {
    const path = join(await builtDir("crane", { ...groups.crane, dir: moduleOf("crane") }), "crane");
    const registry = execa(path, ["registry", "serve", "--address", "127.0.0.1:0"], { reject: false, buffer: false });
    try {
      const port = await new Promise<string>((found) => {
        registry.stderr.on("data", (text) => {
          const [, port] = /port (\d+)/.exec(String(text)) ?? [];
          if (port) found(port);
        });
      });
      const at = `127.0.0.1:${port}`;
      // An image with one layer: this folder.
      await execa("tar", ["--create", "--file", join(folder, "layer.tar"), "-C", folder, "stack.yaml"]);
      await execa(path, [
        "append",
        "--new_layer",
        join(folder, "layer.tar"),
        "--new_tag",
        `${at}/library/redis:8.2.10`,
      ]);
      const digest = await crane.digest(`${at}/library/redis:8.2.10`);
      expect(digest).toMatch(/^sha256:[0-9a-f]{64}$/);
      const lines: string[] = [];
      await crane.copy(`${at}/library/redis:8.2.10@${digest}`, `${at}/mirror/library/redis:8.2.10`, (line) =>
        lines.push(line),
      );
      expect(await crane.digest(`${at}/mirror/library/redis:8.2.10`)).toBe(digest);
      expect(lines.join("\n")).toMatch(/pushed blob|existing/);
      await expect(crane.digest(`${at}/none:1.0`)).rejects.toThrow(UserError);
    } finally {
      registry.kill();
      await registry;
    }
  });
});
