// Proves what MinIO's Job does where its image lacks what it needs. That it sets up a server, the cluster tests prove.
import { spawnSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import type { KubernetesObject } from "../../policy/rules/index.ts";
import { evaluated } from "./stacks.ts";

describe("the Job that makes the buckets, from an image without mc", () => {
  let job: KubernetesObject;
  beforeAll(async () => {
    const { objects } = await evaluated("dev");
    job = objects.find(
      ({ kind, metadata }) => kind === "Job" && metadata.name.startsWith("minio-buckets-"),
    ) as typeof job;
  });

  it("says so at once, instead of waiting for a server that it cannot ask", () => {
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

  it("is not tried again", () => {
    expect(job.spec.podFailurePolicy).toEqual({
      rules: [{ action: "FailJob", onExitCodes: { operator: "In", values: [78] } }],
    });
    // Kubernetes takes such a rule with this alone.
    expect(job.spec.template.spec.restartPolicy).toBe("Never");
  });
});
