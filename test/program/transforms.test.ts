// Proves that a transform changes its component's objects and no other, that the examples of docs/transforms.md work, and
// that what identifies an object cannot change.
// Does not prove that a cluster accepts the result.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { Transforms } from "../../components/transforms.ts";
import program from "../../index.ts";
import type { KubernetesObject } from "../../policy/rules/index.ts";
import { redacted } from "../../render/evaluate.ts";
import { manifests } from "../../render/manifests.ts";
import { run } from "../../render/run.ts";
import { readStack } from "../../render/stack.ts";
import { evaluated } from "./stacks.ts";

const examples: { [title: string]: Transforms } = {
  // The examples are in docs/transforms.md too; a test compares them.
  authority: {
    trino: [
      ({ kind, spec }) => {
        if (kind !== "Deployment") return;
        const pod = spec.template.spec;
        pod.volumes.push({ name: "private-ca", configMap: { name: "private-ca" } });
        for (const container of pod.containers)
          container.volumeMounts.push({ name: "private-ca", mountPath: "/etc/private-ca" });
      },
    ],
  },
  sources: {
    superset: [
      ({ kind, spec }) => {
        if (kind === "Service" && spec.type === "LoadBalancer") spec.loadBalancerSourceRanges = ["198.51.100.0/24"];
      },
    ],
  },
};

const render = async (transforms: Transforms, superset: object = {}) => {
  const file = readStack(".", "test");
  file.config["data-platform:superset"] = { ...(file.config["data-platform:superset"] as object), ...superset };
  const evaluation = await run((args) => program({ ...args, transforms }), file, {
    random: redacted,
    context: "a-cluster",
  });
  return manifests(evaluation).map(({ object }) => object as KubernetesObject);
};

/** Titles of the objects that differ. */
const differing = (before: KubernetesObject[], after: KubernetesObject[]) =>
  after
    .filter((object) => !before.some((old) => JSON.stringify(old) === JSON.stringify(object)))
    .map(({ kind, metadata }) => `${kind} ${metadata.name}`)
    .sort();

it("the examples of docs/transforms.md are the ones here", () => {
  const lines = (text: string) => text.split("\n").map((line) => line.trim());
  const here = lines(readFileSync("test/program/transforms.test.ts", "utf8")).join("\n");
  const written = [...readFileSync("docs/transforms.md", "utf8").matchAll(/^```ts\n([\s\S]*?)^```$/gm)];
  expect(written).toHaveLength(2);
  for (const [, code = ""] of written) expect(here).toContain(lines(code).slice(1, -2).join("\n"));
});

it("a volume reaches the component's Deployments, and nothing else changes", async () => {
  const { objects } = await evaluated("test");
  const after = await render(examples.authority ?? {});
  expect(differing(objects, after)).toEqual(["Deployment trino-coordinator", "Deployment trino-worker"]);
  const worker = after.find(({ kind, metadata }) => kind === "Deployment" && metadata.name === "trino-worker");
  const { volumes, containers } = worker?.spec.template.spec ?? {};
  expect(volumes).toContainEqual({ name: "private-ca", configMap: { name: "private-ca" } });
  expect(containers[0].volumeMounts).toContainEqual({ name: "private-ca", mountPath: "/etc/private-ca" });
});

it("a Service gets a field that no key has", async () => {
  const after = await render(examples.sources ?? {}, { service: { type: "LoadBalancer" } });
  const services = after.filter(({ kind, spec }) => kind === "Service" && spec.loadBalancerSourceRanges);
  expect(services.map(({ metadata }) => metadata.name)).toEqual(["superset"]);
});

describe("a transform", () => {
  it("cannot change an object that another component shares values with", async () => {
    const { objects } = await evaluated("test");
    const after = await render({
      airflow: [
        ({ kind, metadata, spec }) => {
          if (kind !== "Deployment" || metadata.labels?.["app.kubernetes.io/component"] !== "worker") return;
          for (const container of spec.template.spec.containers) container.resources.limits.memory = "9Gi";
          for (const mount of spec.template.spec.containers[0].volumeMounts) mount.readOnly = true;
        },
      ],
    });
    expect(differing(objects, after)).toEqual(["Deployment airflow-worker"]);
  });

  it("that renames an object is an error", async () => {
    await expect(
      render({
        redis: [
          ({ kind, metadata }) => {
            if (kind === "Service") metadata.name = "cache";
          },
        ],
      }),
    ).rejects.toThrow("transforms.redis: found another metadata.name of redis");
  });
});
