/** The engine against a small API server of our own: that a real one answers like it is what the cluster tests prove. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { apply, destroy } from "../../engine/apply.ts";
import { FakeApi } from "./apply-api.ts";
import { stack } from "./engine-program.ts";

let api: FakeApi;
let lines: string[];
beforeEach(async () => {
  api = await FakeApi.start();
  lines = [];
});
afterEach(() => api.stop());

const run = () => ({
  kube: api.connect(),
  stack: "dev",
  timeout: 60,
  say: () => {},
  report: (line: string) => void lines.push(line),
});
type Change = Parameters<typeof stack>[1];
const up = (change: Change = {}) => apply(run(), async (random) => stack(random, change));
const refusal = async (work: Promise<unknown>) =>
  work.then(
    () => expect.unreachable("it was not refused"),
    (error: Error) => error,
  );

const state = () => JSON.parse(decoded("data-platform-state-dev", "state", "kube-system"));
const decoded = (name: string, key: string, namespace = "dev") =>
  Buffer.from((api.get(`Secret ${namespace}/${name}`)!.data as Record<string, string>)[key]!, "base64").toString();
const applied = () => api.writes.filter((write) => write.startsWith("APPLY")).map((write) => write.slice(6));

test("creates everything after what it depends on, and nothing the second time", async () => {
  expect(await up()).toEqual({ created: 6, changed: 0, replaced: 0, deleted: 0, unchanged: 0 });
  expect(applied()).toHaveLength(6);
  expect(applied()[0]).toBe("Namespace dev");
  expect(applied().slice(-2)).toEqual(["StatefulSet dev/db", "Job dev/users-1"]);

  api.writes.length = 0;
  expect(await up()).toEqual({ created: 0, changed: 0, replaced: 0, deleted: 0, unchanged: 6 });
  expect(api.writes).toEqual([]);
});

test("does not send what only speaks to an engine, and sends Secrets in the form that can be owned", async () => {
  await up();
  expect(api.get("PersistentVolumeClaim dev/data-db-0")!.metadata.annotations).toEqual({
    "data-platform/config-key": "db.storage.size",
  });
  expect(api.get("Secret dev/db")).not.toHaveProperty("stringData");
  expect(decoded("db", "password")).toMatch(/^[A-Za-z0-9]{32}$/);
});

test("keeps a password until its keeper changes", async () => {
  await up();
  const first = decoded("db", "password");
  await up({ settings: "b" });
  expect(decoded("db", "password")).toBe(first);
  await up({ rotation: 2 });
  expect(decoded("db", "password")).not.toBe(first);
  expect(lines).toContain("changed Secret dev/db: data.password");
});

test("says which paths change, and never to what", async () => {
  await up();
  lines.length = 0;
  await up({ settings: "a-secret-like-setting" });
  expect(lines).toEqual(["changed ConfigMap dev/settings: data[db.conf]"]);
});

test("passwords and the inventory are stored before anything is made", async () => {
  await up();
  expect(api.writes[0]).toBe("WRITE Secret kube-system/data-platform-state-dev");
  expect(api.get("Secret kube-system/data-platform-state-dev")!.type).toBe("data-platform/state");
});

test.each([0, 1, 2, 3, 4, 5])("killed after %i objects, it goes on with the same password", async (limit) => {
  let left = limit;
  // The connection breaks and stays broken, as for an engine that is no more.
  api.answer = (method, _title, dryRun) =>
    method === "PATCH" && !dryRun && left-- <= 0 ? { code: 500, message: "gone" } : undefined;
  await refusal(up());
  const password = state().values["RandomPassword db"].value;
  expect(state().inventory).toHaveLength(6);
  api.answer = () => undefined;
  const { created, unchanged } = await up();
  expect(created + unchanged).toBe(6);
  expect(decoded("db", "password")).toBe(password);
  expect((await up()).unchanged).toBe(6);
});

test("deletes what is gone from the program, dependants first", async () => {
  await up();
  api.writes.length = 0;
  expect((await up({ without: ["Job-users-1", "StatefulSet-db", "Secret-db"] })).deleted).toBe(3);
  expect(api.writes.filter((write) => write.startsWith("DELETE"))).toEqual([
    "DELETE Job dev/users-1",
    "DELETE StatefulSet dev/db",
    "DELETE Secret dev/db",
  ]);
  expect(state().inventory).toHaveLength(3);
});

test("what a killed run had begun to touch is deleted when it is no longer wanted", async () => {
  api.answer = (method, title, dryRun) =>
    method === "PATCH" && !dryRun && title.startsWith("StatefulSet") ? { code: 500, message: "gone" } : undefined;
  await refusal(up());
  api.answer = () => undefined;
  expect((await up({ without: ["ConfigMap-settings"] })).deleted).toBe(1);
  expect(api.get("ConfigMap dev/settings")).toBeUndefined();
});

test("killed before it came to deleting, it deletes the next time", async () => {
  await up();
  api.answer = (method, _title, dryRun) => (method === "PATCH" && !dryRun ? { code: 500, message: "gone" } : undefined);
  await refusal(up({ settings: "b", without: ["Job-users-1"] }));
  api.answer = () => undefined;
  expect((await up({ settings: "b", without: ["Job-users-1"] })).deleted).toBe(1);
  expect(api.get("Job dev/users-1")).toBeUndefined();
});

test("refuses to delete what is protected, before it changes anything", async () => {
  await up({ protect: true });
  api.writes.length = 0;
  const error = await refusal(up({ protect: true, settings: "b", without: ["PersistentVolumeClaim-data-db-0"] }));
  expect(error.message).toBe(
    "stack dev: PersistentVolumeClaim dev/data-db-0: no longer configured, and protected from deletion; " +
      "put it back, or give it up for good: set global.protectData to false, run `up` once, then make the change again",
  );
  expect(error.name).toBe("ConfigError");
  expect(api.writes).toEqual([]);
});

test("protection is given up by a run without it", async () => {
  await up({ protect: true });
  await up({ protect: false });
  expect((await up({ without: ["PersistentVolumeClaim-data-db-0"] })).deleted).toBe(1);
});

test("refuses a smaller volume by the key that made it, before it changes anything", async () => {
  await up();
  api.writes.length = 0;
  const error = await refusal(up({ size: "1Gi", settings: "b" }));
  expect(error.message).toBe(
    "stack dev: db.storage.size: found 1Gi; expected at least 2Gi, the size of the volume that exists: volumes never shrink",
  );
  expect(api.writes).toEqual([]);
});

test("refuses another number of pods where it is fixed, before it changes anything", async () => {
  await up({ replicas: 1 });
  api.writes.length = 0;
  const error = await refusal(up({ replicas: 3, settings: "b" }));
  expect(error.message).toBe(
    "stack dev: db.replicas: found 3; expected 1, the number that exists: it is fixed when the volumes are first written to",
  );
  expect(api.writes).toEqual([]);
});

test("replaces what cannot be changed in place and holds no data", async () => {
  await up();
  api.writes.length = 0;
  expect(await up({ policy: "OrderedReady" })).toMatchObject({ replaced: 1, unchanged: 5 });
  expect(api.writes.filter((write) => write.includes("StatefulSet"))).toEqual([
    "DELETE StatefulSet dev/db",
    "APPLY StatefulSet dev/db",
  ]);
  expect(lines).toContain("replaced StatefulSet dev/db: spec.podManagementPolicy cannot be changed in place");
});

test("does not take over what someone else made", async () => {
  await up({ without: ["ConfigMap-settings"] });
  await api.connect().apply({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "settings", namespace: "dev" } });
  const error = await refusal(up());
  expect(error.message).toBe(
    "stack dev: ConfigMap dev/settings: it exists and this stack did not make it; " +
      "expected to find nothing of that name: delete it, or configure another namespace",
  );
});

test("adopts a namespace that was there before, with what is in it, and never deletes it", async () => {
  const labels = { team: "a" };
  await api.connect().apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: "dev", labels } });
  const theirs = { apiVersion: "v1", kind: "Secret", metadata: { name: "theirs", namespace: "dev" } };
  await api.connect().apply(theirs);
  await up();
  // It is still known to be someone else's in later runs.
  await up({ settings: "b" });
  expect(await destroy(run())).toEqual({ deleted: 5 });
  expect([...api.objects.values()].map(({ metadata }) => metadata.name).sort()).toEqual(["dev", "theirs"]);
  expect((await up()).created).toBe(5);
});

test("does not adopt another stack's namespace", async () => {
  const labels = { "app.kubernetes.io/part-of": "data-platform", "app.kubernetes.io/instance": "test" };
  await api.connect().apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: "dev", labels } });
  expect((await refusal(up())).message).toContain("Namespace dev: it exists and this stack did not make it");
});

test("makes a failed Job again", async () => {
  let failing = true;
  const asUsual = api.status;
  api.status = (object) =>
    object.kind === "Job" && failing ? { conditions: [{ type: "Failed", status: "True" }] } : asUsual(object);
  expect((await refusal(up())).message).toContain("Job dev/users-1: failed");
  api.writes.length = 0;
  api.answer = (method, title, dryRun) => {
    if (method === "PATCH" && title === "Job dev/users-1" && !dryRun) failing = false;
    return undefined;
  };
  expect(await up()).toMatchObject({ replaced: 1, unchanged: 5 });
  expect(api.writes).toEqual(expect.arrayContaining(["DELETE Job dev/users-1", "APPLY Job dev/users-1"]));
});

test("what the server refuses is found before anything is changed", async () => {
  await up();
  api.writes.length = 0;
  api.answer = (method, title) =>
    method === "PATCH" && title === "Job dev/users-1"
      ? { code: 422, message: "spec.template: Required value\n+ quoted" }
      : undefined;
  const error = await refusal(up({ settings: "b" }));
  expect(error.message).toBe("stack dev: Job dev/users-1: the cluster refuses it: spec.template: Required value");
  expect(api.writes).toEqual([]);
});

test("a Job that fails ends the run with its pod's last words, secrets taken out", async () => {
  api.status = ({ kind, metadata }) =>
    kind === "Job"
      ? { conditions: [{ type: "Failed", status: "True", message: "Job has reached the specified backoff limit" }] }
      : kind === "Namespace"
        ? { phase: "Active" }
        : {
            observedGeneration: metadata.generation,
            replicas: 1,
            updatedReplicas: 1,
            readyReplicas: 1,
            availableReplicas: 1,
          };
  await refusal(up());
  const password = decoded("db", "password");
  api.logs = `connecting with ${password}\nno such role\n`;
  api.objects.set("v1 Pod dev/users-1-x", {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "users-1-x", namespace: "dev" },
    status: {
      phase: "Failed",
      containerStatuses: [
        { name: "psql", ready: false, restartCount: 0, state: { terminated: { reason: "Error", exitCode: 2 } } },
      ],
    },
  });
  const error = await refusal(up());
  expect(error.message).toBe(
    [
      "Job dev/users-1: failed: Job has reached the specified backoff limit",
      "Pod dev/users-1-x: psql: Error (exit code 2)",
      "  last lines of psql:",
      "    connecting with •••",
      "    no such role",
    ].join("\n"),
  );
});

test("two runs at once: the later one to write its state gives up", async () => {
  await up();
  const error = await refusal(
    apply(run(), async (random) => {
      await up({ rotation: 2 });
      return stack(random, { rotation: 3 });
    }),
  );
  expect(error.message).toBe("stack dev: someone else is changing it in this cluster right now; try again later");
});

test("destroys everything, and its state last", async () => {
  await up();
  expect(await destroy(run())).toEqual({ deleted: 6 });
  expect(api.objects.size).toBe(0);
  expect(api.writes.at(-1)).toBe("DELETE Secret kube-system/data-platform-state-dev");
  expect(await destroy(run())).toEqual({ deleted: 0 });
});

test("refuses to destroy what is protected, and says how to", async () => {
  await up({ protect: true });
  api.writes.length = 0;
  const error = await refusal(destroy(run()));
  expect(error.message).toBe(
    "stack dev: protected from deletion: Namespace dev, PersistentVolumeClaim dev/data-db-0; " +
      "to give up their data for good, set global.protectData to false, run `up` once, then destroy",
  );
  expect(api.writes).toEqual([]);
});

test("keeps what is configured to outlive the stack, with its namespace and its password", async () => {
  const retained = (change?: Change) =>
    apply(run(), async (random) => {
      const program = stack(random, change);
      for (const { type, options } of program.resources) options.retainOnDelete = type.includes("Claim");
      return program;
    });
  await retained();
  const before = decoded("db", "password");
  await destroy(run());
  expect([...api.objects.keys()].sort()).toEqual([
    "v1 Namespace dev",
    "v1 PersistentVolumeClaim dev/data-db-0",
    "v1 Secret kube-system/data-platform-state-dev",
  ]);
  expect(lines).toContain("left in the cluster, as configured: PersistentVolumeClaim dev/data-db-0");
  await retained();
  expect(decoded("db", "password")).toBe(before);
});
