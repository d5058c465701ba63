// Proves what `npm run bench closing` reads from /proc, its table, and that its two stacks differ only in what is closed.
// Does not prove the figures of a cluster, which it measures itself.
import { readFileSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { parse } from "yaml";
import { configOf, stackFile } from "../../cli/project.ts";
import { closedAndOpen, cpuBetween, figuresTable, machineUsage, processCpu, processMemory } from "../bench-closing.ts";

it.skipIf(process.platform !== "linux")("CPU and memory of a process are what the process says itself", () => {
  const before = process.cpuUsage();
  const cpu = processCpu(process.pid);
  const end = Date.now() + 300;
  const memory = processMemory(process.pid);
  // Larger than what the process may have kept of freed memory.
  const kept = Buffer.alloc(200 * 1024 ** 2, 1);
  while (Date.now() < end);
  const { user, system } = process.cpuUsage(before);
  // Ticks of 10 ms, rounded on both sides; children that ended in between belong to it too.
  expect(processCpu(process.pid) - cpu).toBeCloseTo((user + system) / 1e6, 1);
  expect(processMemory(process.pid) - memory).toBeGreaterThan(0.9 * kept.length);
});

it.skipIf(process.platform !== "linux")("a process that has ended uses nothing", () => {
  // Above the highest number that Linux gives.
  expect([processCpu(2 ** 23), processMemory(2 ** 23)]).toEqual([0, 0]);
  expect(machineUsage().cpu[""]).toBeGreaterThan(processCpu(process.pid));
  expect(machineUsage().memory).toBeGreaterThan(processMemory(process.pid));
});

it("between two moments counts processes that are new, and not those that ended", () => {
  const at = (cpu: Record<string, number>) => ({ node: { cpu, memory: 0 } });
  expect(cpuBetween(at({ 1: 10, 2: 5 }), at({ 1: 12, 3: 1 }))).toEqual([["node", 3]]);
  expect(cpuBetween({}, at({ 1: 2 }))).toEqual([["node", 2]]);
});

it("the stacks differ in network policies, front door and separate users alone", () => {
  const { closed, open } = closedAndOpen();
  onTestFinished(() => {
    for (const file of [closed, open]) rmSync(dirname(file), { recursive: true });
  });
  const of = (file: string) => parse(readFileSync(file, "utf8")).config;
  const { "data-platform:global": closing, "data-platform:frontDoor": door, ...one } = of(closed);
  const { "data-platform:global": opening, "data-platform:frontDoor": none, ...other } = of(open);
  expect(one).toEqual(other);
  expect(door).toBeDefined();
  expect(none).toBeUndefined();
  const { domain, separateUsers, networkPolicies, ...rest } = closing;
  expect({ domain, separateUsers, networkPolicies }).toEqual({
    domain: "test.localhost",
    separateUsers: true,
    networkPolicies: { enabled: true },
  });
  expect(opening).toEqual({ ...rest, networkPolicies: { enabled: false } });
  // Both are valid.
  for (const file of [closed, open]) configOf(stackFile("test", file));
});

it("the table has a ratio where both stacks use something", () => {
  const said = figuresTable({ "start, s": 90, traefik: 40 }, { "start, s": 60, traefik: 0 });
  const cells = said.split("\n").map((line) => line.trim().split(/\s{2,}/));
  expect(cells).toEqual([
    ["closed", "open", "× open"],
    ["start, s", "90.0", "60.0", "1.50"],
    ["traefik", "40.0", "0.0"],
  ]);
});
