// Proves which changes are refused to protect data, from a state in Pulumi's format and the real program.
// Does not prove that Pulumi refuses the same: a cluster test does.
import { beforeAll, describe, expect, it } from "vitest";
import type { StackState } from "../../cli/backend.ts";
import { refuseLosses, refuseProtected, refuseResizes } from "../../cli/refusals.ts";
import type { Evaluation } from "../../render/evaluate.ts";
import { manifests } from "../../render/manifests.ts";
import { ConfigError, type StackFile } from "../../render/stack.ts";
import { evaluated } from "../program/stacks.ts";

const file: StackFile = { stack: "test", project: "data-platform", path: "", config: {}, encrypted: [] };
const unprotect =
  "put it back, or give it up for good: set global.protectData to false, run `up` once, then make the change again";

/** The state after a program's `up`. */
const stateAfter = ({ resources, outputs }: Evaluation): StackState => ({
  resources: [
    { urn: "", type: "pulumi:pulumi:Stack", custom: false, outputs },
    ...resources.map(({ urn, type, custom, inputs, options }) => ({
      urn,
      type,
      custom,
      inputs,
      protect: options.protect,
    })),
  ],
  pending: [],
});

const refusal = (state: StackState, evaluation: Evaluation, left?: string[]): string[] =>
  refused(() => refuseLosses(file, state, evaluation, left));

const refused = (check: () => void): string[] => {
  try {
    check();
    return [];
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as Error).message.split("\n");
  }
};

const evaluate = async (changes: string) => (await evaluated("test", { changes })).evaluation;

describe("with global.protectData", () => {
  let before: Evaluation;
  let state: StackState;
  const keep = "global: { protectData: true }\nmonitoring: { enabled: true }";
  beforeAll(async () => {
    before = await evaluate(keep);
    state = stateAfter(before);
  });

  it("a change without a loss of data is allowed", () => {
    expect(refusal(state, before)).toEqual([]);
  });

  it("the removal of an object is refused, with the stack and the key", async () => {
    expect(refusal(state, await evaluate(`${keep}\nclickhouse: { enabled: false }`))).toEqual([
      `stack test: clickhouse: PersistentVolumeClaim test-apps/data-clickhouse-0: no longer configured, and protected from deletion; ${unprotect}`,
    ]);
  });

  it("so is that of a namespace, with its key, beside all others", async () => {
    const all = refusal(state, await evaluate("global: { protectData: true }"));
    expect(all).toContain(
      `stack test: namespaces.monitoring: Namespace test-monitoring: no longer configured, and protected from deletion; ${unprotect}`,
    );
    expect(all.length).toBeGreaterThan(1);
  });

  it("but not that of a namespace which the update leaves in the cluster", async () => {
    const left = before.resources.flatMap(({ urn }) => (urn.endsWith(":Namespace::monitoring") ? [urn] : []));
    const all = refusal(state, await evaluate("global: { protectData: true }"), left);
    expect(all.filter((line) => line.includes("Namespace"))).toEqual([]);
    expect(all.length).toBeGreaterThan(0);
  });

  it("a replacement is refused, with its cause", async () => {
    expect(
      refusal(state, await evaluate(`${keep}\nredis: { storage: { size: 1Gi, storageClass: fast } }`)).filter((line) =>
        line.includes("redis"),
      ),
    ).toEqual([
      `stack test: redis: PersistentVolumeClaim test-core/data-redis-0: would be replaced, since spec.storageClassName cannot be changed in place, and is protected from deletion; ${unprotect}`,
    ]);
  });

  it("so is `destroy`", () => {
    expect(() => refuseProtected(file, state)).toThrow(
      /^stack test: protected from deletion: .*PersistentVolumeClaim test-core\/data-redis-0.*; to give up their data for good, set global\.protectData to false, run `up` once, then destroy$/,
    );
  });

  it("an object that was replaced and is not deleted yet is not protected", () => {
    const leaving = state.resources.map((one) => ({ ...one, delete: true }));
    expect(() => refuseProtected(file, { resources: leaving, pending: [] })).not.toThrow();
  });
});

it("without global.protectData everything is allowed", async () => {
  const state = stateAfter(await evaluate("global: { protectData: false }"));
  const smaller = await evaluate("global: { protectData: false }\nclickhouse: { enabled: false }");
  expect(manifests(smaller).length).toBeLessThan(state.resources.length);
  expect(refusal(state, smaller)).toEqual([]);
  expect(() => refuseProtected(file, state)).not.toThrow();
});

describe("sizes and numbers that are final", () => {
  const shop = (size: string) => `cloudnativePg: { enabled: true }
djangoApps:
  shop: { image: "registry.example.com/shop:1.0.0", database: cloudnative-pg, databaseCluster: { storage: { size: ${size} } } }`;
  const changed = async (before: string, after: string) => {
    const state = stateAfter(await evaluate(before));
    const evaluation = await evaluate(after);
    return refused(() => refuseResizes(file, state, evaluation));
  };

  it.each([
    ["nothing of it", "redis: { storage: { size: 2Gi } }", "redis: { storage: { size: 2Gi } }"],
    ["a larger volume", "redis: { storage: { size: 2Gi } }", "redis: { storage: { size: 3Gi } }"],
    ["more pods of a Deployment", "superset: { web: { replicas: 1 } }", "superset: { web: { replicas: 2 } }"],
    [
      "more partitions, and a topic that is no longer listed",
      "kafka: { topics: { orders: { partitions: 3 }, old: {} } }",
      "kafka: { topics: { orders: { partitions: 6 } } }",
    ],
    ["a new component", "kafka: { enabled: false }\nschemaRegistry: { enabled: false }", "{}"],
  ])("%s is allowed", async (_, before, after) => {
    expect(await changed(before, after)).toEqual([]);
  });

  it("fewer partitions of a topic are refused", async () => {
    expect(
      await changed(
        "kafka: { topics: { orders: { partitions: 3 } } }",
        "kafka: { topics: { orders: { partitions: 2 } } }",
      ),
    ).toEqual([
      "stack test: kafka.topics.orders.partitions: found 2; expected at least 3, which the topic has: Kafka removes no partition",
    ]);
  });

  it("all that would shrink or be resized is refused at once, each with its key", async () => {
    expect(
      await changed(
        `redis: { storage: { size: 2Gi } }\nkafka: { replicas: 3 }\n${shop("3Gi")}`,
        `redis: { storage: { size: 1Gi } }\nkafka: { replicas: 1 }\n${shop("2Gi")}`,
      ),
    ).toEqual([
      "stack test: redis.storage.size: found 1Gi; expected at least 2Gi, the size of the volume that exists: volumes never shrink",
      "stack test: djangoApps.shop.databaseCluster.storage.size: found 2Gi; expected at least 3Gi, the size of the volume that exists: volumes never shrink",
      "stack test: kafka.replicas: found 1; expected 3, the number that exists: it is fixed when the volumes are first written to",
    ]);
  });
});
