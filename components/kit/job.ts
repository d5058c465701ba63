import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import type { Component } from "./component.ts";
import { type Pod, pod } from "./pod.ts";
import { fingerprint } from "./secret.ts";

/**
 * Work that is done once for each thing it says: the Job's name ends in a hash of its pod, so a new list, script,
 * image or password makes a new Job, and the same ones make none. The work must be idempotent: it is tried again
 * when its pod fails: six times by the same pod; or, where `retries` says how often, by another, so that the first
 * one's log is there to be told when the Job has failed. A Job that has failed is replaced by the next update.
 */
export function runOnce<V extends string>(
  component: Component,
  suffix: string,
  spec: Omit<Pod<V>, "restartPolicy" | "role">,
  {
    dependsOn,
    retries,
    hopeless,
  }: {
    dependsOn: pulumi.Resource[];
    retries?: number;
    /** With `retries`: the exit code of a mistake that no other try mends, so that the Job fails at once. */
    hopeless?: number;
  },
): k8s.batch.v1.Job {
  const deadline = component.namespace.global.jobDeadline;
  const template = pod(component, {
    ...spec,
    role: suffix,
    restartPolicy: retries === undefined ? "OnFailure" : "Never",
  });
  // The version label and the like may change without there being anything to do again.
  const does = pulumi.output({ spec: template.spec, checksums: spec.checksums });
  const name = does.apply((work) => `${component.named(suffix)}-${fingerprint(work)}`);
  return new k8s.batch.v1.Job(
    component.named(suffix),
    {
      metadata: {
        ...component.metadata(suffix, suffix),
        name,
        // Otherwise Pulumi waits again for the Job that failed.
        annotations: { "pulumi.com/replaceUnready": "true" },
      },
      spec: {
        backoffLimit: retries ?? 6,
        activeDeadlineSeconds: deadline,
        ...(hopeless && {
          podFailurePolicy: { rules: [{ action: "FailJob", onExitCodes: { operator: "In", values: [hopeless] } }] },
        }),
        template,
      },
    },
    // The old Job is done for; a new name never meets it, so there is nothing to wait for.
    // Pulumi waits ten minutes by default; a little longer than the Job may take, so that the Job says why it failed.
    component.child({ dependsOn, customTimeouts: { create: `${deadline + 60}s`, update: `${deadline + 60}s` } }),
  );
}

/** Work that is done again and again, or, where it is suspended, when someone makes a Job of it. One at a time. */
export function cronJob<V extends string>(
  component: Component,
  suffix: string,
  spec: {
    schedule: string;
    suspend?: boolean;
    /** How often one Job tries again. */
    retries: number;
    pod: Omit<Pod<V>, "restartPolicy"> & { role: string };
  },
  options: { dependsOn: pulumi.Resource[] },
): k8s.batch.v1.CronJob {
  return new k8s.batch.v1.CronJob(
    component.named(suffix),
    {
      metadata: component.metadata(suffix, spec.pod.role),
      spec: {
        schedule: spec.schedule,
        timeZone: "Etc/UTC",
        concurrencyPolicy: "Forbid",
        suspend: spec.suspend ?? false,
        successfulJobsHistoryLimit: 1,
        failedJobsHistoryLimit: 1,
        jobTemplate: {
          metadata: { labels: component.labels(spec.pod.role) },
          spec: {
            backoffLimit: spec.retries,
            activeDeadlineSeconds: component.namespace.global.jobDeadline,
            template: pod<string>(component, { ...spec.pod, restartPolicy: "Never" }),
          },
        },
      },
    },
    component.child(options),
  );
}
