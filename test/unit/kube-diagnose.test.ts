// Proves what is reported about objects that do not become ready, against a fake API server.
// Does not prove what a real one reports: the cluster tests do.
import { afterEach, beforeEach, expect, it } from "vitest";
import { diagnoseAll, hide, secretsIn } from "../../kube/diagnose.ts";
import type { KubeObject } from "../../render/manifests.ts";
import { FakeApi } from "./fake-api.ts";

let api: FakeApi;
beforeEach(async () => {
  api = await FakeApi.start();
});
afterEach(() => api.stop());

const put = (object: KubeObject) =>
  void api.objects.set(`${object.apiVersion} ${object.kind} dev/${object.metadata.name}`, object);
const job: KubeObject = { apiVersion: "batch/v1", kind: "Job", metadata: { name: "users-1", namespace: "dev" } };

it("shows the pod with its last events and log lines, and no password", async () => {
  const password = "a-password-of-someone";
  put({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "admin", namespace: "dev" },
    data: {
      password: Buffer.from(password).toString("base64"),
      username: Buffer.from("connecting").toString("base64"),
    },
  });
  put(job);
  const containerStatuses = [
    { name: "psql", ready: false, restartCount: 0, state: { terminated: { reason: "Error", exitCode: 2 } } },
  ];
  put({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "users-1-x", namespace: "dev" },
    status: { phase: "Failed", containerStatuses },
  });
  put({
    apiVersion: "v1",
    kind: "Event",
    metadata: { name: "one", namespace: "dev" },
    reason: "BackOff",
    count: 3,
    message: `back-off of ${password}`,
  });
  api.logs = `connecting with ${password}\nno such role\n`;
  // The fake API sets the status of Jobs, but not of Pods.
  const { status } = api;
  api.status = (object) => {
    if (object.kind === "Job") return { conditions: [{ type: "Failed", status: "True", message: "too often" }] };
    return object.kind === "Pod" ? object.status : status(object);
  };

  const secrets = await secretsIn(api.connect(), ["dev"]);
  expect(secrets).toEqual([password]);
  const service: KubeObject = { apiVersion: "v1", kind: "Service", metadata: { name: "gone", namespace: "dev" } };
  expect((await diagnoseAll(api.connect(), [job, service], secrets)).split("\n")).toEqual([
    "Pod dev/users-1-x: psql: Error (exit code 2)",
    "  BackOff ×3: back-off of •••",
    "  last lines of psql:",
    "    connecting with •••",
    "    no such role",
  ]);
  expect(hide(`refused: ${password}`, secrets)).toBe("refused: •••");
});

it("shows nothing about ready objects", async () => {
  put(job);
  expect(await diagnoseAll(api.connect(), [job], [])).toBe("");
});
