import { block, count } from "./fields.ts";

/*
 * Pods whose number follows their load.
 */

/** How far the number of pods may go, and what decides. */
export interface Autoscale {
  min: number;
  max: number;
  /** Percent of the pods' CPU requests. */
  cpu: number;
}

/** The key `autoscale`. `what` are the pods, and `most` the number of them that the software allows. */
export const autoscale = (what: string, most: number) =>
  block({
    min: count(what, 1, most).describe(`Fewest ${what}.`),
    max: count(what, 1, most).describe(`Most ${what}.`),
    cpu: count("percent", 10, 1_000)
      .default(80)
      .describe("Use of CPU, in percent of `resources.requests.cpu`, above which there are more of them."),
  })
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
