import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { vi } from "vitest";
import { debianPackages } from "../../local/cluster/debian.ts";

/*
 * A Docker daemon for a test, in a separate network namespace: it does not conflict with the machine's own Docker, nor
 * with the embedded cluster, whose registry has the same port.
 */

/**
 * Why no Docker can be started here; undefined if one can. Installs Debian's package if systemd does not run, since
 * the package would otherwise start its own daemon.
 */
export async function noDocker(): Promise<string | undefined> {
  if ((await paths("dockerd")).length === 0 && !existsSync("/run/systemd/system"))
    await debianPackages({ "docker.io": "a test starts a Docker of its own" }, console.log).catch(() => {});
  for (const program of ["dockerd", "ip", "nft", "nsenter"])
    if ((await paths(program)).length === 0)
      return `there is no \`${program}\` (Debian: apt-get install docker.io iproute2 nftables util-linux)`;
  if (!(await dockerThatBuilds())) return "no `docker` on PATH can build: since version 23 it needs its plugin buildx";
  if (/^nameserver (127\.|::1)/m.test(readFileSync("/etc/resolv.conf", "utf8")))
    return "this machine's name server is on its loopback, which another network namespace does not reach";
  return undefined;
}

/** Every path of a program on PATH. */
const paths = async (program: string): Promise<string[]> => {
  const { stdout } = await execa("which", ["-a", program], { reject: false });
  return stdout.split("\n").filter(Boolean);
};

/** The first `docker` that builds with BuildKit: by itself up to version 22, by a plugin since then. */
async function dockerThatBuilds(): Promise<string | undefined> {
  for (const docker of await paths("docker")) {
    const { stdout } = await execa(docker, ["version", "--format", "{{.Client.Version}}"], { reject: false });
    if (Number(/^\d+/.exec(stdout)?.[0]) < 23) return docker;
    if (!(await execa(docker, ["buildx", "version"], { reject: false })).failed) return docker;
  }
  return undefined;
}

export interface Docker {
  /** Runs a command that uses this Docker. Returns its output, and fails with it. */
  run(command: string, args: string[]): Promise<string>;
  /** Ends the daemon, and deletes its data and its network. */
  stop(): Promise<void>;
}

/** `environment` is added to that of each command. */
export async function startDocker(environment: Record<string, string>): Promise<Docker> {
  const network = await makeNetwork();
  // For images and volumes, so not in /tmp, which may be in memory.
  const folder = mkdtempSync("/var/tmp/data-platform-docker-");
  const state = mkdtempSync(join(tmpdir(), "data-platform-kind-"));
  const host = `unix://${join(folder, "docker.sock")}`;
  const programs = join(folder, "bin");
  mkdirSync(programs);
  symlinkSync((await dockerThatBuilds())!, join(programs, "docker"));
  const daemon = execa(
    "nsenter",
    [
      ...network.inside,
      "dockerd",
      `--host=${host}`,
      `--data-root=${join(folder, "data")}`,
      `--exec-root=${join(folder, "run")}`,
      `--pidfile=${join(folder, "pid")}`,
      ...runtime(folder),
    ],
    { reject: false, stdin: "ignore", stdout: "ignore", stderr: { file: join(folder, "log") } },
  );
  const stop = async () => {
    daemon.kill("SIGTERM");
    await daemon;
    await network.remove();
    for (const one of [folder, state]) rmSync(one, { recursive: true, force: true });
  };
  const run = async (command: string, args: string[]) => {
    const { failed, all } = await execa("nsenter", [...network.inside, command, ...args], {
      env: {
        DOCKER_HOST: host,
        PLATFORM_STATE: state,
        PATH: `${programs}:${process.env.PATH}`,
        ...environment,
      },
      reject: false,
      all: true,
      stdin: "ignore",
    });
    if (failed) throw new Error(`${command} ${args.join(" ")} failed:\n${all}`);
    return all;
  };
  try {
    await vi.waitFor(() => run("docker", ["version"]), { timeout: 60_000, interval: 300 });
  } catch (error) {
    const log = readFileSync(join(folder, "log"), "utf8");
    await stop();
    throw new Error(`Docker did not start:\n${log}`, { cause: error });
  }
  return { run, stop };
}

/** A network namespace with the machine's connectivity. */
async function makeNetwork() {
  const name = "data-platform-docker";
  const [here, there] = ["10.213.5.1", "10.213.5.2"];
  const forward = "/proc/sys/net/ipv4/ip_forward";
  const before = readFileSync(forward, "utf8");
  const inside = [`--net=/run/netns/${name}`];
  const remove = async () => {
    writeFileSync(forward, before);
    await execa("nft", ["delete", "table", "ip", name], { reject: false });
    await execa("ip", ["link", "delete", "dp-docker"], { reject: false });
    await execa("ip", ["netns", "delete", name], { reject: false });
  };
  const chain = `type nat hook postrouting priority srcnat\n ip saddr ${there} masquerade\n`;
  // Left by a killed run.
  await remove();
  try {
    await execa("ip", ["netns", "add", name]);
    await execa("ip", ["link", "add", "dp-docker", "type", "veth", "peer", "name", "eth0", "netns", name]);
    await execa("ip", ["address", "add", `${here}/30`, "dev", "dp-docker"]);
    await execa("ip", ["link", "set", "dp-docker", "up"]);
    for (const command of [
      ["address", "add", `${there}/30`, "dev", "eth0"],
      ["link", "set", "eth0", "up"],
      ["link", "set", "lo", "up"],
      ["route", "add", "default", "via", here],
    ])
      await execa("ip", ["-netns", name, ...command]);
    await execa("nft", ["-f", "-"], { input: `table ip ${name} {\n chain out {\n ${chain} }\n}\n` });
    writeFileSync(forward, "1");
  } catch (error) {
    await remove();
    throw error;
  }
  return { inside, remove };
}

/**
 * Docker grants a privileged container every capability. A sandbox without CAP_SYS_RESOURCE refuses that: there, runc
 * is called with the other capabilities.
 */
function runtime(folder: string): string[] {
  const capSysResource = 1n << 24n;
  const [, bounding = "0"] = /^CapBnd:\s*([0-9a-f]+)/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  if (BigInt(`0x${bounding}`) & capSysResource) return [];
  const script = join(folder, "runc");
  writeFileSync(
    script,
    `#!/bin/sh
previous=
for word in "$@"; do
  case $previous in --bundle) file=$word/config.json ;; --process) file=$word ;; *) file= ;; esac
  [ -z "$file" ] || sed -i 's/"CAP_SYS_RESOURCE",//g; s/,"CAP_SYS_RESOURCE"//g' "$file"
  previous=$word
done
exec runc "$@"
`,
    { mode: 0o755 },
  );
  return [`--add-runtime=without-limits=${script}`, "--default-runtime=without-limits"];
}
