import { existsSync } from "node:fs";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { UserError } from "../step.ts";
import { network, runDir } from "./layout.ts";

const ip = (...args: string[]) => execa("ip", args);
const nft = (...args: string[]) => execa("nft", args, { reject: false });

/** Settings of the kernel that the cluster changes, by itself or through kubelet, and that `removeNetwork` puts back. */
const sysctls = [
  "net/ipv4/ip_forward",
  "vm/overcommit_memory",
  "vm/panic_on_oom",
  "kernel/panic",
  "kernel/panic_on_oops",
  "kernel/keys/root_maxkeys",
  "kernel/keys/root_maxbytes",
];

/** Tables of the packet filter: kube-proxy's, the port mappings', and ours, which translates what leaves the machine. */
const ownTable = "ip data_platform";
const tables = ["ip kube-proxy", "ip6 kube-proxy", "inet cni_hostport", ownTable];

interface Before {
  sysctls: Record<string, string>;
  tables: string[];
}
const beforeFile = runDir("before.json");

/** Notes once how the machine was before the cluster, then makes the node's bridge, its routes and the translation. */
export async function createNetwork(): Promise<void> {
  if (!existsSync(beforeFile)) {
    await refuseOverlaps();
    const before: Before = { sysctls: {}, tables: await existingTables() };
    if (before.tables.includes("ip kube-proxy"))
      throw new UserError(
        "A kube-proxy has rules in this machine's packet filter: another Kubernetes runs here. Stop it first.",
      );
    for (const name of sysctls)
      before.sysctls[name] = (await readFile(join("/proc/sys", name), "utf8").catch(() => "")).trim();
    await mkdir(runDir(), { recursive: true, mode: 0o711 });
    await writeFile(`${beforeFile}.new`, JSON.stringify(before, null, 2));
    await rename(`${beforeFile}.new`, beforeFile);
  }
  if (!(await deviceExists())) await ip("link", "add", network.device, "type", "bridge");
  await ip("address", "replace", `${network.address}/${network.cluster.split("/")[1]}`, "dev", network.device);
  await ip("link", "set", network.device, "up");
  // A Service's address is translated before it is routed, yet the kernel wants a route to it, even on a machine
  // without a default one. What no rule translates ends here and not on the machine's wire.
  await ip("route", "replace", network.services, "dev", network.device, "src", network.address);
  await writeFile("/proc/sys/net/ipv4/ip_forward", "1");
  const rules = `table ${ownTable} {}
    delete table ${ownTable}
    table ${ownTable} {
      chain postrouting {
        type nat hook postrouting priority srcnat;
        ip saddr ${network.pods} ip daddr != { ${network.cluster}, ${network.services} } masquerade
      }
    }`;
  await execa("nft", ["-f", "-"], { input: rules });
}

/** Removes what `createNetwork`, the pods' network plugins and kube-proxy made, and puts the kernel's settings back. */
export async function removeNetwork(): Promise<void> {
  const before: Before = existsSync(beforeFile)
    ? JSON.parse(await readFile(beforeFile, "utf8"))
    : { sysctls: {}, tables };
  for (const { dst, dev } of await routes())
    if (dev.startsWith("veth") && overlaps(dst, network.pods))
      await execa("ip", ["link", "delete", dev], { reject: false });
  if (await deviceExists()) await ip("link", "delete", network.device);
  for (const table of tables) if (!before.tables.includes(table)) await nft("delete", "table", ...table.split(" "));
  for (const [name, value] of Object.entries(before.sysctls))
    if (value !== "") await writeFile(join("/proc/sys", name), value).catch(() => {});
  await rm(beforeFile, { force: true });
}

const deviceExists = async (): Promise<boolean> => existsSync(`/sys/class/net/${network.device}`);

async function existingTables(): Promise<string[]> {
  const { stdout = "" } = await nft("list", "tables");
  return stdout
    .split("\n")
    .map((line) => line.replace(/^table /, "").trim())
    .filter(Boolean);
}

async function routes(): Promise<{ dst: string; dev: string }[]> {
  const { stdout } = await ip("-4", "-json", "route", "show");
  return (JSON.parse(stdout) as { dst: string; dev: string }[]).filter((route) => route.dst !== "default");
}

async function refuseOverlaps(): Promise<void> {
  if (await deviceExists())
    throw new UserError(
      `There is a network device ${network.device} which is not this cluster's. Remove it: ip link delete ${network.device}`,
    );
  for (const { dst, dev } of await routes())
    for (const own of [network.cluster, network.services])
      if (overlaps(dst, own))
        throw new UserError(
          `The local cluster uses ${own}, and this machine already routes ${dst} through ${dev}. Remove that route, or run the cluster on another machine.`,
        );
}

/** Whether two IPv4 networks in CIDR form (a bare address is a /32) have an address in common. */
export function overlaps(a: string, b: string): boolean {
  const [left, right] = [parse(a), parse(b)];
  const bits = Math.min(left.bits, right.bits);
  return bits === 0 || left.address >>> (32 - bits) === right.address >>> (32 - bits);
}

function parse(cidr: string): { address: number; bits: number } {
  const [address = "", bits = "32"] = cidr.split("/");
  return { address: address.split(".").reduce((sum, part) => (sum << 8) | Number(part), 0), bits: Number(bits) };
}
