// Proves how the local cluster's daemons are started and ended, with real processes and control groups. Needs root.
// Does not prove what they serve.
import { mkdtempSync, rmSync } from "node:fs";
import { rmdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { cgroup, type Daemon, pidOf, processesIn, start, stop } from "../../local/cluster/daemons.ts";
import { runDir } from "../../local/cluster/layout.ts";
import { UserError } from "../../local/step.ts";

const root = process.platform === "linux" && process.getuid?.() === 0;
const name = `test-${process.pid}`;
const quiet = () => {};
const daemon = (script: string, reads: string[] = []): Daemon => ({
  name,
  command: "/bin/sh",
  args: ["-c", script],
  reads,
  ready: async () => true,
});

describe.skipIf(!root)("daemons (skipped where the tests do not run as root on Linux)", () => {
  const state = mkdtempSync(join(tmpdir(), "daemons-"));
  beforeAll(() => vi.stubEnv("PLATFORM_STATE", state));
  afterAll(async () => {
    await stop(name, 0);
    vi.unstubAllEnvs();
    rmSync(state, { recursive: true });
    // Removes only what this test created: rmdir fails for directories in use.
    for (const path of [cgroup("daemons", name), cgroup("daemons"), cgroup(), runDir("started"), runDir()])
      await rmdir(path).catch(() => {});
  });

  it("finds what it started by the control group, also from another process", async () => {
    expect(pidOf(name)).toBeUndefined();
    await start(daemon("sleep 100; exit"), quiet);
    const pid = pidOf(name)!;
    expect(process.kill(pid, 0)).toBe(true);
    await vi.waitFor(() => expect(processesIn(cgroup("daemons", name))).toHaveLength(2));
    expect(processesIn(dirname(cgroup("daemons", name)))).toContain(pid);
  });

  it("keeps a running one, and restarts it if its files change", async () => {
    const pid = pidOf(name);
    await start(daemon("sleep 100; exit"), quiet);
    expect(pidOf(name)).toBe(pid);
    await start(daemon("sleep 100; exit", ["other"]), quiet);
    expect(pidOf(name)).not.toBe(pid);
    expect(pidOf(name)).toBeDefined();
  });

  it("restarts one that was killed", async () => {
    const pid = pidOf(name)!;
    for (const each of processesIn(cgroup("daemons", name))) process.kill(each, "SIGKILL");
    await vi.waitFor(() => expect(pidOf(name)).toBeUndefined());
    await start(daemon("sleep 100; exit", ["other"]), quiet);
    expect(pidOf(name)).not.toBe(pid);
  });

  it("kills one that ignores SIGTERM", async () => {
    await start(daemon("trap '' TERM; while :; do sleep 0.1; done"), quiet);
    await stop(name, 0.3);
    expect(pidOf(name)).toBeUndefined();
  });

  it("shows the end of the log of one that fails", async () => {
    const failing = { ...daemon("echo the reason; exit 3"), ready: async () => false };
    const error = await start(failing, quiet).catch((e) => e);
    expect(error).toBeInstanceOf(UserError);
    expect(error.message).toMatch(/stopped right after its start\. The end of .*\.log:\n(.*\n)*the reason$/);
  });

  it("reports why one did not become ready", async () => {
    const silent: Daemon = { ...daemon("sleep 100"), ready: () => Promise.reject(new Error("no answer yet")) };
    await expect(start(silent, quiet, 0.3)).rejects.toThrow(/was not ready within 0.3 s: no answer yet/);
  });

  it("passes on none of the caller's secrets", async () => {
    vi.stubEnv("SOME_TOKEN", "secret");
    const environment = daemon("env; sleep 100");
    await start({ ...environment, ready: async () => true }, quiet);
    const { readFile } = await import("node:fs/promises");
    const env = await readFile(`/proc/${pidOf(name)}/environ`, "utf8");
    expect(env).toContain("NO_PROXY=");
    expect(env).not.toContain("secret");
  });
});
