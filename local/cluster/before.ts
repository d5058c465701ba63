import { existsSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { execa } from "execa";
import writeFileAtomic from "write-file-atomic";
import { dir, runDir } from "./layout.ts";
import { missingPaths } from "./namespace.ts";

/** The machine's state before the cluster: what `down` restores, and what it must not remove. */
export interface Before {
  /** The directory of the cluster that runs: there is one at a time. */
  directory: string;
  /** Settings of the kernel that the cluster changes, by itself or through kubelet, with their values. */
  sysctls: Record<string, string>;
  /** Tables of the packet filter. */
  tables: string[];
  /** Directories that the cluster had to make outside its own. */
  made: string[];
}

const file = runDir("before.json");

const sysctls = [
  "net/ipv4/ip_forward",
  "vm/overcommit_memory",
  "vm/panic_on_oom",
  "kernel/panic",
  "kernel/panic_on_oops",
  "kernel/keys/root_maxkeys",
  "kernel/keys/root_maxbytes",
];

/** Undefined if no cluster was started since the machine's last boot. */
export async function readBefore(): Promise<Before | undefined> {
  return existsSync(file) ? JSON.parse(await readFile(file, "utf8")) : undefined;
}

/** Records the state before the first change; `readBefore` returns it until `putBack`. */
export async function noteBefore(): Promise<void> {
  const before: Before = { directory: dir(), sysctls: {}, tables: await filterTables(), made: missingPaths() };
  for (const name of sysctls) before.sysctls[name] = await readFile(join("/proc/sys", name), "utf8").catch(() => "");
  await mkdir(dirname(file), { recursive: true, mode: 0o711 });
  await writeFileAtomic(file, JSON.stringify(before, null, 2));
}

/** Restores the kernel's settings and removes the record. */
export async function putBack(before: Before): Promise<void> {
  for (const [name, value] of Object.entries(before.sysctls))
    if (value !== "") await writeFile(join("/proc/sys", name), value).catch(() => {});
  await rm(file, { force: true });
}

async function filterTables(): Promise<string[]> {
  const { stdout } = await execa("nft", ["list", "tables"]);
  return stdout
    .split("\n")
    .map((line) => line.replace(/^table /, "").trim())
    .filter(Boolean);
}
