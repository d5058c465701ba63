// Proves how the progress of an update is shown, from events in the form that the engine sends.
// Does not prove that the engine sends them in this form: the cluster tests do.
import { DiffKind, type EngineEvent, type StepEventMetadata } from "@pulumi/pulumi/automation/events.js";
import { describe, expect, it } from "vitest";
import { counted, done, linesOf, planned } from "../../cli/changes.ts";
import { Progress, withoutPods } from "../../cli/progress.ts";

const inputs = (spec: object, kind = "StatefulSet") => ({
  apiVersion: "apps/v1",
  kind,
  metadata: { name: "redis", namespace: "dev-core" },
  spec,
});
const urn = "urn:pulumi:dev::data-platform::data-platform:index:Redis$kubernetes:apps/v1:StatefulSet::redis";
const side = (values: object, more: object = {}) =>
  ({ custom: true, inputs: values, ...more }) as unknown as NonNullable<StepEventMetadata["new"]>;

/** A step for Redis' StatefulSet. */
const step = (more: Partial<StepEventMetadata>): StepEventMetadata => ({
  op: "create",
  urn,
  type: "kubernetes:apps/v1:StatefulSet",
  provider: "",
  ...more,
});
const created = step({ new: side(inputs({ replicas: 1 })) });
let events = 0;
const at = (event: Partial<EngineEvent>): EngineEvent => ({ sequence: events++, timestamp: 0, ...event });
const begun = (metadata: StepEventMetadata) => at({ resourcePreEvent: { metadata } });
const ended = (metadata: StepEventMetadata) => at({ resOutputsEvent: { metadata } });
const said = (message: string, more: object = {}) =>
  at({ diagnosticEvent: { message, color: "never", severity: "info", ...more } });

function told(...events: EngineEvent[]): Progress {
  const progress = new Progress(4, (warning) => warning === "expected");
  for (const event of events) progress.take(event);
  return progress;
}
const other = step({ op: "same", urn: "urn:other", new: side(inputs({})) });

describe("the status line", () => {
  it("shows the program's start, then the comparison with the cluster, then what is awaited and why", () => {
    expect(told().line()).toBe("starting the program");
    expect(told(ended(step({ op: "refresh" }))).line()).toBe("comparing with the cluster, 1 of 4");
    const progress = told(ended(other), begun(created), said("[1/2] no pod is ready\n", { urn, ephemeral: true }));
    expect(progress.line(Date.now() + 12_000)).toBe(
      "1 of 4; waiting for StatefulSet dev-core/redis for 12 s (no pod is ready)",
    );
  });

  it("shows no message about a pod, which can have lines of its log", () => {
    const status = { urn, ephemeral: true, severity: "warning" };
    const pod = said("[Pod dev-core/redis-0]: containers with unready status: [redis]\npassword: hunter22", status);
    const progress = told(ended(other), begun(created), pod);
    expect(progress.line()).toBe("1 of 4; waiting for StatefulSet dev-core/redis for 0 s");
    expect([...progress.warnings]).toEqual([]);
    progress.take(said("ProvisioningFailed: no class", status));
    expect(progress.line()).toContain("(ProvisioningFailed: no class)");
  });

  it("shows three resources and the number of the others", () => {
    const events = ["a", "b", "c", "d"].map((name) => begun({ ...created, urn: name }));
    expect(told(ended(other), ...events).line()).toMatch(/^1 of 4; waiting for (StatefulSet [^,]+, ){3}and 1 more$/);
  });

  it("omits resources that have completed or failed, and marks deletions", () => {
    expect(told(begun(created), ended(created)).line()).toBe("1 of 4");
    const failed = told(
      ended(other),
      begun(created),
      at({ resOpFailedEvent: { metadata: created, status: 0, steps: 0 } }),
    );
    expect(failed.line()).toBe("1 of 4");
    expect(failed.failed).toEqual([inputs({ replicas: 1 })]);
    const going = step({ op: "delete", old: side(inputs({})) });
    expect(told(ended(other), begun(going)).line()).toContain("deletion of StatefulSet dev-core/redis for 0 s");
  });
});

it("processes a repeated event once", () => {
  const event = ended(created);
  expect(told(event, event).changes).toHaveLength(1);
});

it("counts an update without a changed field as unchanged: the engine only waited until the object was ready", () => {
  const unready = side(inputs({ replicas: 1 }));
  const awaited = step({ op: "update", old: unready, new: unready });
  const changed = step({ op: "update", old: unready, new: side(inputs({ replicas: 2 })) });
  const summary = at({
    summaryEvent: { maybeCorrupt: false, durationSeconds: 1, resourceChanges: { update: 2, same: 7 }, policyPacks: {} },
  });
  const { counts, changes } = told(ended(awaited), ended(changed), summary);
  expect(counted(counts, done)).toBe("1 updated, 8 unchanged");
  expect(changes).toHaveLength(1);
});

describe("the changes", () => {
  const lines = (metadata: StepEventMetadata, detailed = false) =>
    told(begun(metadata), ended(metadata)).changes.flatMap((change) => linesOf(change, planned, detailed));

  it("name the fields of an update, and show their values on request", () => {
    const update = step({ op: "update", old: side(inputs({ replicas: 1 })), new: side(inputs({ replicas: 2 })) });
    expect(lines(update)).toEqual(["~ update StatefulSet dev-core/redis: spec.replicas"]);
    expect(lines(update, true)).toEqual([
      "~ update StatefulSet dev-core/redis: spec.replicas",
      "    spec.replicas",
      "      - 1",
      "      + 2",
    ]);
  });

  it("name the fields that only the engine can compare: those of Secrets, and differences in the cluster", () => {
    const secret = side(inputs({ password: "[secret]" }, "Secret"));
    const detailedDiff = { "stringData.password": { diffKind: DiffKind.update, inputDiff: false } };
    expect(lines(step({ op: "update", old: secret, new: secret, detailedDiff }), true)).toEqual([
      "~ update Secret dev-core/redis: stringData.password",
    ]);
  });

  it("name the cause of a replacement once for its three steps", () => {
    const sides = { old: side(inputs({ serviceName: "a" })), new: side(inputs({ serviceName: "b" })) };
    const detailedDiff = { "spec.serviceName": { diffKind: DiffKind.updateReplace, inputDiff: false } };
    const steps = (["create-replacement", "replace", "delete-replaced"] as const).map((op) =>
      step({ op, ...sides, detailedDiff }),
    );
    expect(steps.flatMap((one) => lines(one))).toEqual([
      "± replace StatefulSet dev-core/redis: spec.serviceName cannot be changed in place",
    ]);
  });

  it("say whether a deleted object stays in the cluster", () => {
    expect(lines(step({ op: "delete", old: side(inputs({})) }))).toEqual(["- delete StatefulSet dev-core/redis"]);
    expect(lines(step({ op: "delete", old: side(inputs({}), { retainOnDelete: true }) }))).toEqual([
      "- delete StatefulSet dev-core/redis, and left in the cluster, as configured",
    ]);
  });

  it("show type and name of other resources, and omit providers and components", () => {
    const password = step({
      urn: "urn:pulumi:dev::data-platform::data-platform:index:Redis$random:index/randomPassword:RandomPassword::redis-admin",
      type: "random:index/randomPassword:RandomPassword",
      new: side({ length: 32 }),
    });
    expect(lines(password)).toEqual(["+ create RandomPassword redis-admin"]);
    const provider = {
      type: "pulumi:providers:kubernetes",
      urn: "urn:pulumi:dev::data-platform::pulumi:providers:kubernetes::kubernetes",
    };
    expect(lines(step({ ...provider, new: side({}) }))).toEqual([]);
    expect(
      lines(step({ ...provider, op: "update", old: side({ context: "a" }), new: side({ context: "b" }) })),
    ).toEqual(["~ update provider kubernetes: context"]);
    expect(lines(step({ type: "data-platform:index:Redis", new: side({}, { custom: false }) }))).toEqual([]);
  });

  it("are counted as the engine counts them", () => {
    const resourceChanges = { same: 49, update: 2 };
    const summaryEvent = { maybeCorrupt: false, durationSeconds: 1, resourceChanges, policyPacks: {} };
    expect(counted(told(at({ summaryEvent })).counts, done)).toBe("2 updated, 49 unchanged");
    expect(counted({}, done)).toBe("nothing to do");
  });
});

describe("an object that was not ready when the engine compared it with the cluster", () => {
  const unready = step({ op: "refresh", old: side(inputs({})), new: side(inputs({})) });
  const awaited = step({ op: "update", old: side(inputs({})), new: side(inputs({})) });
  const compared = [
    begun(unready),
    said("Refreshed resource is in an unhealthy state:\n* [Pod dev-core/redis-0]: unready\npassword: hunter22", {
      severity: "warning",
      urn,
    }),
    ended(unready),
    begun(awaited),
  ];

  it("is no warning if it becomes ready; other warnings of it and of others stay", () => {
    const progress = told(
      ...compared,
      said("apps/v1beta1 is deprecated", { severity: "warning", urn }),
      said("old", { severity: "warning" }),
      ended(awaited),
    );
    expect([...progress.warnings]).toEqual(["StatefulSet dev-core/redis: apps/v1beta1 is deprecated", "old"]);
    expect(progress.changes).toEqual([]);
  });

  it("is a problem if it does not", () => {
    const progress = told(
      ...compared,
      said("failed to become live", { severity: "error", urn }),
      at({ resOpFailedEvent: { metadata: awaited, status: 0, steps: 0 } }),
    );
    expect(progress.problems).toEqual([{ of: "StatefulSet dev-core/redis", message: "failed to become live" }]);
    expect(progress.failed).toHaveLength(1);
  });
});

it("a failure is shown without what the engine says about pods, if passwords cannot be hidden", () => {
  const text = [
    "StatefulSet dev-core/redis: 2 errors occurred:",
    "\t* [Pod dev-core/redis-0]: containers with unready status: [redis]",
    "password: hunter22",
    "\t* 0 of 1 are ready",
    "Deployment dev-apps/polls: [Pod dev-apps/polls-1]: [Error] hunter22",
  ].join("\n");
  const hidden = "not shown: it may have passwords, and no Secret can be read";
  expect(withoutPods(text, hidden)).toBe(
    [
      "StatefulSet dev-core/redis: 2 errors occurred:",
      `\t* [Pod dev-core/redis-0]: ${hidden}`,
      "\t* 0 of 1 are ready",
      `Deployment dev-apps/polls: [Pod dev-apps/polls-1]: ${hidden}`,
    ].join("\n"),
  );
});

it("keeps each problem with its resource, and each unexpected warning once", () => {
  const progress = told(
    said("refused\n", { severity: "error", urn }),
    said("update failed", { severity: "error" }),
    said("old", { severity: "warning" }),
    said("old", { severity: "warning" }),
    said("expected", { severity: "warning" }),
    said("a line of the program", { severity: "info#err" }),
  );
  expect(progress.problems).toEqual([{ of: "StatefulSet redis", message: "refused" }, { message: "update failed" }]);
  expect([...progress.warnings]).toEqual(["old"]);
  expect(progress.lastWords).toEqual(["a line of the program"]);
});
