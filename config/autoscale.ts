import type { z } from "zod";
import { block, count } from "./fields.ts";

/*
 * Pods whose number follows their load.
 */

/** How far the number of pods may go, and what decides. */
export interface Autoscale {
  min: number;
  max: number;
  /** Percent of the pods' CPU requests. Default: 80, or without a meaning beside `queue`. */
  cpu?: number | undefined;
  /** Tasks for each pod. Default: tasks do not decide. */
  queue?: number | undefined;
}

/** Percent of the pods' CPU requests above which there are more of them, if nothing else decides. */
export const usualCpu = 80;

const range = (what: string, most: number) => ({
  min: count(what, 1, most).describe(`Fewest ${what}.`),
  max: count(what, 1, most).describe(`Most ${what}.`),
});
const cpu = () => count("percent", 10, 1_000);
const cpuMeaning = "Use of CPU, in percent of `resources.requests.cpu`, above which there are more of them.";

/** The key `autoscale`. `what` are the pods, and `most` the number of them that the software allows. */
export const autoscale = (what: string, most: number) =>
  ordered(block({ ...range(what, most), cpu: cpu().default(usualCpu).describe(cpuMeaning) }));

/** The same for workers that take tasks from a queue. `tasks` says which tasks are counted. */
export const autoscaleByQueue = (what: string, most: number, tasks: string) =>
  ordered(
    block({
      ...range(what, most),
      cpu: cpu()
        .optional()
        .describe(`${cpuMeaning} Default: ${usualCpu}; with \`queue\`, CPU does not decide unless it is set too.`),
      queue: count("tasks", 1, 100_000)
        .optional()
        .describe(
          `Tasks for each of them: so many more of them as there are more tasks (${tasks}). KEDA must be in the cluster.`,
        ),
    }),
  );

const ordered = <T extends z.ZodType<{ min: number; max: number }>>(of: T) =>
  of
    .superRefine(({ min, max }, context) => {
      if (max < min)
        context.addIssue({
          code: "custom",
          path: ["max"],
          input: max,
          message: `expected at least autoscale.min, which is ${min}`,
        });
    })
    .optional();

/** The most pods that there may be: what others must have room for. */
export const mostReplicas = ({
  replicas,
  autoscale,
}: {
  replicas: number;
  autoscale?: Autoscale | undefined;
}): number => autoscale?.max ?? replicas;
