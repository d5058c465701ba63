// Proves the requests to the API server and what is reported of its answers, which are copied from Kubernetes 1.36.
// Does not prove that a real API server accepts what is sent: the cluster tests do.
import { KubeConfig } from "@kubernetes/client-node";
import { describe, expect, it } from "vitest";
import { ApiError, Kube, messageOf, takenOver, Unreachable } from "../src/kube.ts";

/** A client of a server that is not there: whatever is asked of it fails with Unreachable. */
const config = new KubeConfig();
config.loadFromOptions({
  clusters: [{ name: "none", server: "https://127.0.0.1:1" }],
  users: [{ name: "none" }],
  contexts: [{ name: "none", cluster: "none", user: "none" }],
  currentContext: "none",
});
const kube = new Kube(config);

it.each([
  ["v1", "ConfigMap", "..", "apps"],
  ["v1", "ConfigMap", "a?dryRun=", "apps"],
  ["v1#", "ConfigMap", "a", "apps"],
  ["v1/../../x", "ConfigMap", "a", "apps"],
  ["v1", "..", "a", "apps"],
  ["v1", "ConfigMap", "a", "../kube-system"],
  ["v1", "ConfigMap", "a", "a/b"],
])("makes no request for %j %j %j in %j", async (apiVersion, kind, name, namespace) => {
  const object = { apiVersion, kind, metadata: { name } };
  for (const asked of [
    kube.get({ apiVersion, kind, name }, namespace),
    kube.apply(object, namespace, true),
    kube.delete({ apiVersion, kind, name }, namespace, "uid"),
  ])
    await expect(asked).rejects.toBeInstanceOf(ApiError);
});

it("would make one for a good name", async () => {
  await expect(kube.get({ apiVersion: "v1", kind: "ConfigMap", name: "a" }, "apps")).rejects.toBeInstanceOf(
    Unreachable,
  );
});

describe("a refusal", () => {
  const status = (message: string, ...causes: { field: string; message: string }[]) =>
    JSON.stringify({ kind: "Status", message, details: { causes } });
  const template = `{"spec":{"containers":[{"env":[${'{"name":"PASSWORD","value":"hunter2: x"},'.repeat(90)}]}]}}`;

  it.each([
    [
      "a Job's template",
      status(`Job.batch "j" is invalid: spec.template: Invalid value: ${template}: field is immutable`, {
        field: "spec.template",
        message: `Invalid value: ${template}: field is immutable`,
      }),
      "spec.template: field is immutable",
    ],
    [
      "a claim's class",
      status(
        'PersistentVolumeClaim "c" is invalid: spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n@@ -10,7 +10,7 @@\n- "StorageClassName": "a",\n',
        {
          field: "spec",
          message:
            'Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n@@ -10,7 +10,7 @@\n- "StorageClassName": "a",\n',
        },
      ),
      "spec: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims",
    ],
    [
      "a StatefulSet's claim templates",
      status(
        "StatefulSet.apps \"s\" is invalid: spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
        {
          field: "spec",
          message:
            "Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
        },
      ),
      "spec: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
    ],
    [
      "a Deployment's selector",
      status(
        'Deployment.apps "d" is invalid: spec.selector: Invalid value: {"matchLabels":{"a":"y"}}: field is immutable',
      ),
      'spec.selector: Invalid value: {"matchLabels":{"a":"y"}}: field is immutable',
    ],
    [
      "a Service's address",
      status('Service "s" is invalid: spec.clusterIPs[0]: Invalid value: ["None"]: may not change once set'),
      'spec.clusterIPs[0]: Invalid value: ["None"]: may not change once set',
    ],
  ])("of %s is short, and known to be for good", (_, answer, message) => {
    expect(messageOf(answer)).toBe(message);
    expect(new ApiError(422, message).immutable).toBe(true);
  });

  it.each([
    ["spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated"],
    ["failed to create typed patch object (/a; /v1, Kind=ConfigMap): .dota: field not declared in schema"],
  ])("%s is reported unchanged", (message) => {
    expect(messageOf(status(message))).toBe(message);
    expect(new ApiError(422, message).immutable).toBe(false);
  });

  it("is cut where it says nothing shorter, and is no error where it is no JSON", () => {
    expect(messageOf(status("x".repeat(5000)))).toHaveLength(401);
    expect(messageOf("upstream\nrequest failed")).toBe("upstream");
    expect(messageOf("{}")).toBe("no reason given");
  });
});

describe("taking over the fields of kubectl and Helm", () => {
  const entry = (manager: string, operation: "Apply" | "Update", paths: object, more = {}) =>
    ({ manager, operation, apiVersion: "v1", fieldsType: "FieldsV1", fieldsV1: paths, ...more }) as Parameters<
      typeof takenOver
    >[0][number];

  it("makes them deployd's, all that there are, and leaves those of controllers alone", () => {
    const controller = entry("kube-controller-manager", "Update", { "f:status": {} }, { subresource: "status" });
    const scaled = entry("kubectl", "Update", { "f:spec": { "f:replicas": {} } }, { subresource: "scale" });
    const taken = takenOver([
      entry("kubectl-client-side-apply", "Update", { "f:data": { ".": {}, "f:a": {} } }),
      controller,
      scaled,
      entry("kubectl-edit", "Update", { "f:data": { "f:b": {} } }),
      entry("helm", "Update", { "f:metadata": { "f:labels": {} } }),
      entry("deployd", "Apply", { "f:data": { "f:c": {} } }),
    ]);
    expect(taken).toEqual([
      controller,
      scaled,
      entry("deployd", "Apply", {
        "f:data": { ".": {}, "f:a": {}, "f:b": {}, "f:c": {} },
        "f:metadata": { "f:labels": {} },
      }),
    ]);
  });

  it("takes over what was applied on the server's side, too", () => {
    expect(takenOver([entry("kubectl", "Apply", { "f:data": {} })])).toEqual([
      entry("deployd", "Apply", { "f:data": {} }),
    ]);
  });

  it("has nothing to do where nobody but controllers set fields", () => {
    expect(takenOver([entry("manager", "Update", { "f:data": {} })])).toBeUndefined();
  });
});
