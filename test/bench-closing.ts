/*
 * What closing costs: the stack `test` with network policies, front door and separate users, against the same stack
 * without. It runs on the embedded cluster, which is restarted before each of the two, so that its programs are as young.
 *
 * The figures of the whole machine are right only on one without other work, and the start of both is comparable only
 * if the cluster has had the stack's images before. The closed stack comes first: files that are not in the page cache
 * yet make closing look more expensive, not cheaper.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { parse, stringify } from "yaml";
import { inUse, stateOf } from "../cli/backend.ts";
import { stackFile } from "../cli/project.ts";
import { table } from "../cli/show.ts";
import { localTarget } from "../cli/target.ts";
import { cgroup, cgroupName, processesIn } from "../local/cluster/daemons.ts";
import { UserError } from "../local/step.ts";
import { mustRun, wholeFile } from "./cluster/kit.ts";

const stack = "test";
/** Seconds after `up` until the servers have done their first work, and seconds of idling that are measured. */
const [settling, idling] = [30, 60];
/** The programs of the node that closing needs: they enforce policies, lead to pages and sign certificates. */
const closing = ["network-policies", "traefik", "authority"];

interface Usage {
  /** CPU seconds since its start, by process; of those that are counted together, by "". */
  cpu: Record<string, number>;
  /** Bytes. */
  memory: number;
}

/** By who uses it: the pods, programs of the node, the machine. */
type Snapshot = Record<string, Usage>;

/** The ticks of /proc in a second: the same on each Linux that Node.js supports. */
const ticks = 100;

/** CPU seconds of a process and of its children that have ended; 0 if it has ended itself. */
export function processCpu(pid: number): number {
  const text = readIf(`/proc/${pid}/stat`);
  // The name before it may have spaces.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return sum(fields.slice(11, 15).map(Number)) / ticks;
}

/** Proportional set size of a process: of memory that n processes share, each has an equal share. 0 if it has ended. */
export const processMemory = (pid: number): number =>
  1024 * Number(/^Pss:\s+(\d+) kB/m.exec(readIf(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0);

/** CPU seconds of all pods, with those that have ended: the control group above them has all. */
const podCpu = (): number =>
  cgroup() === `/sys/fs/cgroup/${cgroupName}`
    ? Number(/^usage_usec (\d+)/m.exec(readFileSync(cgroup("kubepods", "cpu.stat"), "utf8"))?.[1]) / 1e6
    : Number(readFileSync(`/sys/fs/cgroup/cpuacct/${cgroupName}/kubepods/cpuacct.usage`, "utf8")) / 1e9;

export function machineUsage(): Usage {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = (
    /^cpu +(.*)/.exec(readIf("/proc/stat"))?.[1] ?? ""
  )
    .split(" ")
    .map(Number);
  const memory = readIf("/proc/meminfo");
  const of = (key: string) => 1024 * Number(new RegExp(`^${key}:\\s+(\\d+) kB`, "m").exec(memory)?.[1]);
  const cpu = (user + nice + system + irq + softirq) / ticks;
  return { cpu: { "": cpu }, memory: of("MemTotal") - of("MemAvailable") };
}

const usageOf = (pids: number[]): Usage => ({
  cpu: Object.fromEntries(pids.map((pid) => [pid, processCpu(pid)])),
  memory: sum(pids.map(processMemory)),
});

function snapshot(): Snapshot {
  const programs = readdirSync(cgroup("daemons"), { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? [entry.name] : [],
  );
  const of = (names: string[]) => usageOf(names.flatMap((name) => processesIn(cgroup("daemons", name))));
  return {
    pods: { cpu: { "": podCpu() }, memory: sum(processesIn(cgroup("kubepods")).map(processMemory)) },
    ...Object.fromEntries(closing.map((name) => [name, of([name])])),
    "other programs of the node": of(programs.filter((name) => !closing.includes(name))),
    "the whole machine": machineUsage(),
  };
}

/** What is measured → its value, in the unit that the text names. */
export type Figures = Record<string, number>;

/**
 * CPU seconds between two snapshots, by who used them. Of the node's programs without processes that have ended, such as
 * the shims of containers: only the machine has those.
 */
export const cpuBetween = (before: Snapshot, after: Snapshot): [string, number][] =>
  Object.entries(after).map(([who, { cpu }]) => [
    who,
    sum(Object.entries(cpu).map(([process, seconds]) => seconds - (before[who]?.cpu[process] ?? 0))),
  ]);

/** Brings up the stack on a cluster that was just started, measures it, and destroys it. */
async function measure(file: string): Promise<Figures> {
  await mustRun(["cluster", "down"]);
  await mustRun(["cluster", "up"]);
  try {
    const before = snapshot();
    const start = performance.now();
    // It returns when every pod is ready.
    await mustRun(["up", "--stack", stack, "--config-file", file]);
    const seconds = (performance.now() - start) / 1000;
    const up = snapshot();
    await sleep(settling * 1000);
    const rested = snapshot();
    const resting = performance.now();
    await sleep(idling * 1000);
    const idle = snapshot();
    const cores = (performance.now() - resting) / 1000;
    return {
      "start, s": seconds,
      ...named("CPU of the start, s", cpuBetween(before, up)),
      ...named(
        "CPU at rest, millicores",
        cpuBetween(rested, idle).map(([who, cpu]) => [who, (1000 * cpu) / cores]),
      ),
      ...named(
        "memory at rest, MiB",
        Object.entries(idle).map(([who, { memory }]) => [who, memory / 1024 ** 2]),
      ),
    };
  } finally {
    await mustRun(["destroy", "--stack", stack, "--config-file", file]);
  }
}

const named = (what: string, values: [string, number][]): Figures =>
  Object.fromEntries(values.map(([who, value]) => [`${what}: ${who}`, value]));

/** The stack closed and open, as files for `--config-file`: they differ in nothing else. */
export function closedAndOpen(): { closed: string; open: string } {
  const [closed, open] = [wholeFile(), wholeFile()];
  const { config } = parse(readFileSync(open, "utf8")) as { config: Record<string, object> };
  const own = (key: string) => `data-platform:${key}`;
  delete config[own("frontDoor")];
  const global = { ...(stackFile(stack).config[own("global")] as object), networkPolicies: { enabled: false } };
  writeFileSync(open, stringify({ config: { ...config, [own("global")]: global } }));
  return { closed, open };
}

/** A table of the figures. What has none on one side, such as a program that does not run, has no ratio. */
export function figuresTable(closed: Figures, open: Figures): string {
  const rows = Object.entries(closed).map(([what, value]) => {
    const other = open[what] ?? 0;
    return [what, value.toFixed(1), other.toFixed(1), value > 0 && other > 0 ? (value / other).toFixed(2) : ""];
  });
  return table(["", "closed", "open", "× open"], rows);
}

/** Refuses a cluster that cannot be measured, and one with stacks that this would destroy or measure along. */
async function refuse(): Promise<void> {
  const { cluster, why } = await localTarget();
  if (cluster !== "embedded") throw new UserError(`found ${cluster} (${why}); expected the embedded cluster`);
  for (const name of ["dev", stack])
    if (inUse(await stateOf(stackFile(name))))
      throw new UserError(`found the stack ${name}; expected a cluster without: ./platform destroy --stack ${name}`);
}

/** The measurement, as a table. Takes about 15 minutes on two processors. */
export async function benchClosing(): Promise<string> {
  await refuse();
  const { closed, open } = closedAndOpen();
  console.error("measuring the closed stack");
  const one = await measure(closed);
  console.error("measuring the open stack");
  return figuresTable(one, await measure(open));
}

const sum = (values: number[]): number => values.reduce((total, value) => total + value, 0);

function readIf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // The process has ended.
  }
}
