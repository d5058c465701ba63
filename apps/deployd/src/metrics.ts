import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

export type Metrics = ReturnType<typeof makeMetrics>;

/** deployd's metrics. */
export function makeMetrics() {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const rounds = new Counter({
    name: "deployd_rounds_total",
    help: "Looks at a repository and its namespace, by how they ended",
    labelNames: ["repository", "result"] as const,
    registers,
  });
  const seconds = new Histogram({
    name: "deployd_round_seconds",
    help: "How long a look and what followed from it took",
    labelNames: ["repository"] as const,
    buckets: [0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120],
    registers,
  });
  const drifted = new Gauge({
    name: "deployd_drifted_objects",
    help: "Objects that are not as their repository declares them",
    labelNames: ["repository"] as const,
    registers,
  });
  const failing = new Gauge({
    name: "deployd_failing",
    help: "1 while the last attempt at a repository failed",
    labelNames: ["repository"] as const,
    registers,
  });
  return {
    registry,
    /** Starts the timer of a round. Call the returned function at its end. */
    timed(repository: string) {
      const stop = seconds.startTimer({ repository });
      return (result: "ok" | "failed" | "waiting") => {
        stop();
        rounds.inc({ repository, result });
      };
    },
    state(repository: string, now: { drifted: number; failed: boolean }) {
      drifted.set({ repository }, now.drifted);
      failing.set({ repository }, now.failed ? 1 : 0);
    },
    /** Removes the state of a repository that is no longer deployed. */
    forget(repository: string) {
      drifted.remove({ repository });
      failing.remove({ repository });
    },
  };
}
