// Proves what the web app's configuration refuses, and that a promotion changes exactly the versions in a stack file.
// Does not prove what is read from a cluster: the cluster tests do.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { promotedIn, runningImage } from "../../apps/commands/web-app/promote.ts";
import { root } from "../../cli/project.ts";
import { redisImage } from "../../components/redis/schema.ts";
import { webAppImage } from "../../components/web-app/schema.ts";
import { parseConfig } from "../../config/problems.ts";
import type { Live } from "../../kube/client.ts";

const refusal = (yaml: string): string => {
  try {
    parseConfig("dev", { webApp: parse(yaml) });
  } catch (error) {
    return (error as Error).message;
  }
  return "accepted";
};

const digest = `sha256:${"a".repeat(64)}`;
const semantic = (name: string) =>
  `expected an image with a semantic version as its tag, such as ${name}: it is what a promotion writes`;

describe("is refused", () => {
  it.each([
    ["data-platform/web-app:latest"],
    ["data-platform/web-app"],
    ["data-platform/web-app:1"],
    ["data-platform/web-app:1.2"],
    ["data-platform/web-app:v1.2.3"],
    ["data-platform/web-app:1.02.3"],
    ["data-platform/web-app:1.2.3-"],
    ["https://data-platform/web-app:1.2.3"],
  ])("the image %s", (image) => {
    expect(refusal(`image: "${image}"`)).toBe(`stack dev: webApp.image: found "${image}"; ${semantic(webAppImage)}`);
  });

  it.each([
    ["redis: { image: redis:8 }", `webApp.redis.image: found "redis:8"; ${semantic(redisImage)}`],
    [
      "environment: Test",
      'webApp.environment: found "Test"; expected a name of at most 30 lower-case letters, digits and dashes, such as test',
    ],
    [
      "backup: { schedule: nightly }",
      'webApp.backup.schedule: found "nightly"; expected a cron schedule such as 17 3 * * *',
    ],
    ["backup: { keep: 0 }", "webApp.backup.keep: found 0; expected a whole number of backups from 1 to 1000"],
    ["worker: { replicas: 0 }", "webApp.worker.replicas: found 0; expected a whole number of workers from 1 to 64"],
    [
      "ingress: { host: localhost }",
      'webApp.ingress.host: found "localhost"; expected a host name such as polls.example.com',
    ],
    [
      "ingress: { tlsSecret: mine }",
      'webApp.ingress.tlsSecret: found "mine"; expected ingress.host beside it: without one there is no Ingress',
    ],
    ["debug: sometimes", 'webApp.debug: found "sometimes"; expected true or false'],
  ])("%s", (yaml, message) => {
    expect(refusal(yaml)).toBe(`stack dev: ${message}`);
  });
});

it.each([["1.2.3"], ["0.1.0-rc.1"], ["10.20.30-alpha-2.x"], [`1.2.3@${digest}`]])(
  "accepts the version %s",
  (version) => {
    expect(refusal(`image: "registry.example.com:5000/web-app:${version}"`)).toBe("accepted");
  },
);

const app = { path: ["image"], byDefault: webAppImage, roles: [] as string[] };
const redis = { path: ["redis", "image"], byDefault: redisImage, roles: [] as string[] };
const file = { stack: "prod", project: "data-platform", path: "Pulumi.prod.yaml", config: {}, encrypted: [] };
const promote = (text: string, of: typeof app | typeof redis, image: string) => promotedIn(text, file, of, image);

/** Unusual formatting, with everything that an editor might normalize. */
const untidy = `# a comment

config:
    kubernetes:context:   prod   # where it goes
    "data-platform:webApp":
        # the version
        image:     'registry.example.com/data-platform/web-app:1.0.0'      # promoted
        flask: {replicas: 2,   resources: {requests: {cpu: "1"}}}


        redis: {image: redis:8.2.10, }
    data-platform:minio: { replicas: 4 }   # last
`;

describe("a promotion", () => {
  it("changes the version in the file, and no other character", () => {
    expect(promote(untidy, app, "data-platform/web-app:1.1.0")).toBe(untidy.replace("web-app:1.0.0", "web-app:1.1.0"));
    expect(promote(untidy, redis, "redis:8.4.0")).toBe(untidy.replace("redis:8.2.10", "redis:8.4.0"));
  });

  it("keeps the file's registry, and adds or removes a digest", () => {
    const mirrored = "mirror.example.com/all/data-platform/web-app:1.1.0";
    const pinned = promote(untidy, app, `${mirrored}@${digest}`);
    expect(pinned).toBe(untidy.replace("web-app:1.0.0", `web-app:1.1.0@${digest}`));
    expect(promote(pinned, app, mirrored)).toBe(untidy.replace("web-app:1.0.0", "web-app:1.1.0"));
  });

  it("of the same version changes nothing", () => {
    expect(promote(untidy, app, "data-platform/web-app:1.0.0")).toBe(untidy);
    expect(promote("config: {}\n", app, webAppImage)).toBe("config: {}\n");
  });

  it.each(["dev", "test", "prod"])(
    "adds what does not stand in the file of %s yet, and keeps every line of it",
    (stack) => {
      const text = readFileSync(join(root, `Pulumi.${stack}.yaml`), "utf8");
      const after = promote(promote(text, app, "web-app:9.8.7"), redis, "redis:9.8.7");
      const { config } = parse(after);
      expect(config["data-platform:webApp"].image).toBe("data-platform/web-app:9.8.7");
      expect(config["data-platform:webApp"].redis.image).toBe("redis:9.8.7");
      const kept = (line: string) => !/image: (data-platform\/web-app|redis):/.test(line);
      const added = stack === "prod" ? [] : ["  data-platform:webApp:", "    redis:"];
      const lines = (of: string) => of.split("\n").filter(kept);
      expect(lines(after).filter((line) => !lines(text).includes(line))).toEqual(added);
      expect(lines(text).filter((line) => !lines(after).includes(line))).toEqual([]);
    },
  );

  it("adds to a block whose key has no namespace", () => {
    expect(promote("config:\n  webApp:\n    debug: true\n", app, "web-app:1.1.0")).toBe(
      "config:\n  webApp:\n    debug: true\n    image: data-platform/web-app:1.1.0\n",
    );
  });

  it("refuses to add a key if that would reformat the file", () => {
    expect(() => promote("config:\n    webApp:   {debug: true}\n", app, "web-app:1.1.0")).toThrow(
      "Pulumi.prod.yaml: config → webApp → image: cannot be written without changing how the file is laid out; expected it to be there: add data-platform/web-app:1.1.0 by hand",
    );
  });

  it("refuses other software", () => {
    expect(() => promote(untidy, redis, "valkey/valkey:8.1.0")).toThrow(
      "found valkey/valkey:8.1.0; expected a version of redis:8.2.10: other software is not promoted",
    );
  });

  it("refuses a stack as its own source, before it looks for a cluster", async () => {
    const folder = mkdtempSync(join(tmpdir(), "promote-"));
    const path = join(folder, "Pulumi.one.yaml");
    writeFileSync(path, untidy);
    const args = ["promote", "--from", "test", "--to", "test"];
    const { exitCode, stderr } = await execa(join(root, "platform"), args, { reject: false, cwd: folder });
    expect({ exitCode, stderr }).toEqual({
      exitCode: 2,
      stderr: "--to: found test; expected another stack than --from",
    });
    rmSync(folder, { recursive: true });
  });
});

describe("the running version is promoted", () => {
  const deployment = (role: string, image: string, up = 1) =>
    ({
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name: role, namespace: "test-apps", labels: { "app.kubernetes.io/component": role } },
      spec: { replicas: 1, template: { spec: { containers: [{ image }] } } },
      status: { updatedReplicas: 1, replicas: 1, readyReplicas: up, availableReplicas: up },
    }) as unknown as Live;
  const from = (...there: Live[]) => {
    const planned = ["flask", "worker"].map((role) => deployment(role, "data-platform/web-app:9.9.9"));
    const get = async (of: { metadata: { name: string } }) =>
      there.find(({ metadata }) => metadata.name === of.metadata.name);
    return runningImage({ get }, planned, ["flask", "worker"]);
  };
  const [one, two] = ["data-platform/web-app:1.0.0", "data-platform/web-app:1.1.0"];

  it("regardless of the stack's file", async () => {
    expect(await from(deployment("flask", one), deployment("worker", one))).toBe(one);
  });

  it.each([
    [
      "not what is not there",
      [deployment("flask", one)],
      "Deployment test-apps/worker: not in the cluster; only what runs can be promoted",
    ],
    [
      "not what is not ready",
      [deployment("flask", one, 0), deployment("worker", one)],
      "Deployment test-apps/flask: 0 of 1 pods are ready; only what is ready can be promoted",
    ],
    [
      "not half of an upgrade",
      [deployment("flask", one), deployment("worker", two)],
      `Deployment test-apps/worker: runs ${two} and Deployment test-apps/flask runs ${one}; expected one version: wait until the upgrade is done`,
    ],
    [
      "not a tag that moves",
      ["flask", "worker"].map((role) => deployment(role, "data-platform/web-app:latest")),
      "Deployment test-apps/flask: runs data-platform/web-app:latest; expected an image with a semantic version as its tag, such as 1.2.3: nothing else is promoted",
    ],
  ])("%s", async (_, there, message) => {
    await expect(from(...there)).rejects.toThrow(message);
  });
});
