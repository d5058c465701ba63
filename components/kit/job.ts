import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { derived } from "../../config/derived.ts";
import type { Component } from "./component.ts";
import { countPods, type Pod, pod } from "./pod.ts";
import { fingerprint } from "./secret.ts";

/** A Job's pod. Its role is the Job's suffix. */
type JobPod<V extends string> = Omit<Pod<V>, "restartPolicy" | "role">;

export interface JobArgs {
  dependsOn: pulumi.Resource[];
  /**
   * Run each attempt in a pod of its own and retry this often, so that the first attempt's log is kept. Default: one
   * pod restarts its container up to six times.
   */
  retries?: number;
  /** With `retries`: exit code of an error that no retry can fix. The Job fails at once. Default: none. */
  fatalExitCode?: number;
}

/**
 * Creates a Job that runs once for each version of its pod. Its name ends in a hash of the pod, so another list,
 * script, image or password creates another Job. The work must be idempotent, because attempts are retried. The next
 * update replaces a failed Job.
 */
export function runOnce<V extends string>(
  component: Component,
  suffix: string,
  spec: JobPod<V>,
  { dependsOn, retries, fatalExitCode }: JobArgs,
): k8s.batch.v1.Job {
  const deadline = component.namespace.global.jobDeadline;
  countPods(component, () => 1, spec);
  const template = pod(component, {
    ...spec,
    role: suffix,
    restartPolicy: retries === undefined ? "OnFailure" : "Never",
  });
  // Without the labels: a new version label alone is no reason to run again.
  const content = pulumi.output({ spec: template.spec, checksums: spec.checksums });
  const name = content.apply(
    (work) =>
      `${component.named(suffix)}-${hashOfWork(component.named(suffix), work.spec ?? {}, work.checksums ?? {})}`,
  );
  return new k8s.batch.v1.Job(
    component.named(suffix),
    {
      metadata: {
        ...component.metadata(suffix, suffix),
        name,
        // Without it Pulumi waits for the failed Job again.
        annotations: { "pulumi.com/replaceUnready": "true" },
      },
      spec: {
        backoffLimit: retries ?? 6,
        activeDeadlineSeconds: deadline,
        ...(fatalExitCode && {
          podFailurePolicy: {
            rules: [{ action: "FailJob", onExitCodes: { operator: "In", values: [fatalExitCode] } }],
          },
        }),
        template,
      },
    },
    // Pulumi waits ten minutes by default. A minute longer than the Job's deadline, so that the Job reports its error.
    component.child({ dependsOn, customTimeouts: { create: minuteAfter(deadline), update: minuteAfter(deadline) } }),
  );
}

const minuteAfter = derived("minuteAfter", (seconds: number): string => `${seconds + 60}s`);

/** What the name of a Job ends in: it changes with the pod and the checksums of what the pod reads. */
const hashOfWork = derived("hashOfWork", (_name: string, spec: object, checksums: Record<string, string>): string =>
  fingerprint({ spec, ...(Object.keys(checksums).length > 0 && { checksums }) }),
);

export interface CronJobArgs<V extends string> {
  /** Cron schedule, in UTC. */
  schedule: string;
  /** Never run by the schedule: the CronJob is a template for Jobs that someone creates. Default: false. */
  suspend?: boolean;
  /** Retries of one Job. */
  retries: number;
  pod: Omit<Pod<V>, "restartPolicy"> & { role: string };
}

/** Creates a CronJob. Its Jobs do not run concurrently. */
export function cronJob<V extends string>(
  component: Component,
  suffix: string,
  spec: CronJobArgs<V>,
  options: { dependsOn: pulumi.Resource[] },
): k8s.batch.v1.CronJob {
  countPods(component, () => 1, spec.pod);
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
