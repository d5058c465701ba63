import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { BlockList } from "node:net";
import { execa } from "execa";
import { UserError } from "../step.ts";
import type { Before } from "./before.ts";
import { network, policyTables } from "./layout.ts";

const ip = (...args: string[]) => execa("ip", args);

/** nftables tables: of kube-proxy, the portmap plugin, our own for source NAT, and the enforcement of NetworkPolicies. */
const ownTable = "ip data_platform";
const tables = ["ip kube-proxy", "ip6 kube-proxy", "ip cni_hostport", "ip6 cni_hostport", ownTable, ...policyTables];

/** Refuses a machine whose network overlaps the cluster's. Call it before the cluster changes anything. */
export async function checkNetwork(): Promise<void> {
  if (deviceExists())
    throw new UserError(
      `There is a network device ${network.device} which is not this cluster's. Remove it: ip link delete ${network.device}`,
    );
  if ((await execa("nft", ["list", "table", "ip", "kube-proxy"], { reject: false })).exitCode === 0)
    throw new UserError(
      "A kube-proxy has rules in this machine's packet filter: another Kubernetes runs here, or ran. Stop it, or restart the machine.",
    );
  for (const { dst, dev } of await routes())
    for (const own of [network.cluster, network.services])
      if (overlaps(dst, own))
        throw new UserError(
          `The local cluster uses ${own}, and this machine already routes ${dst} through ${dev}. Remove that route, or run the cluster on another machine.`,
        );
}

/** Creates the node's bridge, its routes, and source NAT for traffic that leaves the machine. */
export async function createNetwork(): Promise<void> {
  if (!deviceExists()) await ip("link", "add", network.device, "type", "bridge");
  await ip("address", "replace", `${network.address}/${network.cluster.split("/")[1]}`, "dev", network.device);
  await ip("link", "set", network.device, "up");
  // A Service's address is translated before it is routed, but the kernel needs a route to it, which a machine without a
  // default route lacks. It also keeps traffic to unknown Services off the machine's own network.
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

/** Removes what `createNetwork`, the CNI plugins and kube-proxy created. */
export async function removeNetwork(before: Before): Promise<void> {
  for (const { dst, dev } of await routes())
    if (dev.startsWith("veth") && overlaps(dst, network.pods))
      await execa("ip", ["link", "delete", dev], { reject: false });
  if (deviceExists()) await ip("link", "delete", network.device);
  for (const table of tables)
    if (!before.tables.includes(table)) await execa("nft", ["delete", "table", ...table.split(" ")], { reject: false });
}

const deviceExists = (): boolean => existsSync(`/sys/class/net/${network.device}`);

async function routes(): Promise<{ dst: string; dev: string }[]> {
  const { stdout } = await ip("-4", "-json", "route", "show");
  return (JSON.parse(stdout) as { dst: string; dev: string }[]).filter((route) => route.dst !== "default");
}

/** Whether two IPv4 networks in CIDR form (a bare address is a /32) have an address in common. */
export const overlaps = (a: string, b: string): boolean => contains(a, b) || contains(b, a);

/** Whether the first address of a network is in another one. */
function contains(network: string, other: string): boolean {
  const [address = "", bits = "32"] = network.split("/");
  const [first = ""] = other.split("/");
  const list = new BlockList();
  list.addSubnet(address, Number(bits));
  return list.check(first);
}
