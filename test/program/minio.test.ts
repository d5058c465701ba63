// Proves what MinIO's bucket Job does if its image has no client.
// Does not prove that it configures a server: the cluster tests do.
import { spawnSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import type { KubernetesObject } from "../../policy/rules/index.ts";
import { evaluated } from "./stacks.ts";

describe("the buckets Job, from an image without mc", () => {
  let job: KubernetesObject;
  beforeAll(async () => {
    const { objects } = await evaluated("dev");
    job = objects.find(
      ({ kind, metadata }) => kind === "Job" && metadata.name.startsWith("minio-buckets-"),
    ) as typeof job;
  });

  it("fails at once with the reason", () => {
    const [shell, ...args] = job.spec.template.spec.containers[0].command;
    const empty = mkdtempSync(join(tmpdir(), "no-mc-"));
    const { status, stderr } = spawnSync(`/bin/${shell}`, args, {
      env: { PATH: empty },
      encoding: "utf8",
      timeout: 10_000,
    });
    expect(stderr).toMatch(/^minio\.image: this image has no mc,.*docs\/minio\.md/);
    expect(status).toBe(78);
  });

  it("is not retried", () => {
    expect(job.spec.podFailurePolicy).toEqual({
      rules: [{ action: "FailJob", onExitCodes: { operator: "In", values: [78] } }],
    });
    // Kubernetes accepts such a rule only with this policy.
    expect(job.spec.template.spec.restartPolicy).toBe("Never");
  });
});
