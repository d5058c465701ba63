// Proves that repositories which attack deployd gain nothing: each fails with one sentence, a good one stays deployed,
// and deployd's pod does not restart.
// Does not prove what a pod can do that a repository may legitimately run.
// Exercises: deployd, apps/deployd.
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { stringify } from "yaml";
import { GitServer } from "../../apps/deployd/test/git-server.ts";
import { configMap, configuration, configure, namespace, own, removeDeployed, summary, value } from "./deployd.ts";
import { get, kube, podsOf, smallStack } from "./kit.ts";

let git: GitServer;
/** The stack's own configuration, restored at the end. */
let before: string;
/** A server that no repository may make deployd call, and the requests it got. */
let web: Server;
let target: string;
const asked: string[] = [];

const chart = stringify({ apiVersion: "v2", name: "chart", version: "1.0.0" });
const recordOf = (name: string) => `deployd-record-${createHash("sha256").update(name).digest("hex").slice(0, 10)}`;

const doubled = ["abcdefghij"].flatMap((keys) => [
  `a: &a [${Array(9).fill("x").join(", ")}]`,
  ...[...keys.slice(1)].map((key, i) => `${key}: &${key} [${Array(9).fill(`*${keys[i]}`).join(", ")}]`),
]);

/** Files below `deploy/manifests`, and deployd's message about them. */
const attacks: Record<string, { files: () => Record<string, string | Buffer>; says: RegExp }> = {
  "a base whose ref is an option of git": {
    files: () => ({
      "kustomization.yaml": `resources: ["file:///nowhere//x?ref=--upload-pack%3Dtouch%20/tmp/marker%3B%23"]`,
    }),
    says: /kustomization\.yaml: resources: found .*deployd reads nothing from elsewhere/,
  },
  "a base in a repository of the pod": {
    files: () => ({ "kustomization.yaml": "resources: [file:///work]" }),
    says: /deployd reads nothing from elsewhere/,
  },
  "a generator that asks a server": {
    files: () => ({ "kustomization.yaml": `configMapGenerator: [{ name: a, files: ["x=${target}/kustomize"] }]` }),
    says: /deployd reads nothing from elsewhere/,
  },
  "a chart whose schema is on a server": {
    files: () => ({
      "Chart.yaml": chart,
      "values.schema.json": JSON.stringify({ $ref: `${target}/helm` }),
      "templates/a.yaml": configMap("a", "1"),
    }),
    says: /values\.schema\.json: found \$ref http/,
  },
  "a list of a mebibyte": { files: () => ({ "a.yaml": "- a\n".repeat(262_144) }), says: /a\.yaml/ },
  "aliases of aliases": {
    files: () => ({ "a.yaml": `${configMap("a", "1")}${doubled.join("\n")}\n` }),
    says: /alias|memory/,
  },
  "aliases of aliases in a kustomization": {
    files: () => ({
      "kustomization.yaml": "resources: [a.yaml]",
      "a.yaml": `${configMap("a", "1")}${doubled.join("\n")}\n`,
    }),
    says: /alias|memory/,
  },
  "a template without an end": {
    files: () => ({
      "Chart.yaml": chart,
      "templates/a.yaml": `{{- $a := "x" }}{{- range until 40 }}{{- $a = print $a $a }}{{- end }}{{ $a }}`,
    }),
    says: /^helm: /,
  },
  "three hundred mebibytes in few bytes of git": {
    files: () =>
      Object.fromEntries(Array.from({ length: 160 }, (_, i) => [`${i}.yaml`, Buffer.alloc(1_990_000, `# ${i}\n`)])),
    says: /MiB/,
  },
  "the record of a repository that comes later": {
    files: () => ({ "a.yaml": configMap(recordOf("hostile/victim"), "{}") }),
    says: /deployd's own/,
  },
};
const names = Object.keys(attacks).map((_, i) => `hostile/repository-${i}`);

/** The pod's UID and the restart counts of its containers. */
async function life() {
  const [name = ""] = await podsOf("deployd", "server", own);
  const pod = await get("Pod", name, own);
  const statuses = (pod?.status?.containerStatuses ?? []) as { restartCount: number }[];
  const restarts = statuses.map(({ restartCount }) => restartCount);
  return { uid: pod?.metadata.uid, restarts };
}

beforeAll(async () => {
  await smallStack();
  before = await configuration();
  const host = new URL(kube().server).hostname;
  git = await GitServer.start(host);
  web = createServer((request, response) => {
    asked.push(request.url ?? "");
    response.end("{}");
  });
  web.listen(0, host);
  await once(web, "listening");
  target = `http://${host}:${(web.address() as AddressInfo).port}`;
  await git.commit("hostile/good", { "deploy/manifests/a.yaml": configMap("good", "1") });
  for (const [i, { files }] of Object.values(attacks).entries())
    await git.commit(
      names[i] ?? "",
      Object.fromEntries(Object.entries(files()).map(([path, contents]) => [`deploy/manifests/${path}`, contents])),
    );
});

afterAll(async () => {
  if (before) await configure(before);
  git?.stop();
  web?.close();
  await removeDeployed();
});

it("each attack fails with one sentence, and a good repository stays deployed", {
  timeout: 900_000,
}, async () => {
  const born = await life();
  const repository = (name: string) => ({ name, url: git.url(name), interval: 5, namespace });
  await configure(stringify({ repositories: [...names, "hostile/good"].map(repository) }));
  await vi.waitFor(async () => expect(await value("good")).toBe("1"), { timeout: 300_000, interval: 1_000 });

  const attacked = Object.entries(attacks).map(([attack, { says }], i) => ({ attack, says, name: names[i] ?? "" }));
  for (const { attack, says, name } of attacked)
    await vi.waitFor(
      async () => {
        const { phase, error } = await summary(name);
        expect({ attack, phase, message: error?.message }).toEqual({
          attack,
          phase: "failed",
          message: expect.stringMatching(says),
        });
        expect(error.message).not.toMatch(/\n/);
      },
      { timeout: 300_000, interval: 1_000 },
    );

  // They are retried all the time.
  await git.commit("hostile/good", { "deploy/manifests/a.yaml": configMap("good", "2") });
  await vi.waitFor(async () => expect(await value("good")).toBe("2"), { timeout: 120_000, interval: 1_000 });
  // The record that a repository forged for this one is ignored.
  await git.commit("hostile/victim", { "deploy/manifests/a.yaml": configMap("victim", "1") });
  await configure(stringify({ repositories: [...names, "hostile/good", "hostile/victim"].map(repository) }));
  await vi.waitFor(async () => expect(await summary("hostile/victim")).toMatchObject({ phase: "ready" }), {
    timeout: 120_000,
    interval: 1_000,
  });

  expect(await summary("hostile/good")).toMatchObject({ phase: "ready", error: null });
  expect(await life()).toEqual(born);
  expect(asked).toEqual([]);
});
