import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { chartFiles, mark } from "../render/chart/chart.ts";
import { ConfigError, stackNames } from "../render/stack.ts";
import { root, stackFile } from "./project.ts";

/** Writes the Helm chart, with the values of each stack that the checkout has. */
export async function chart({ out }: { out: string }): Promise<void> {
  const target = resolve(out);
  refuseForeign(out, target);
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
  const files = await chartFiles(version, Object.fromEntries(stackNames(root).map((stack) => [stack, ofStack(stack)])));
  // Written beside it and renamed, so that an interrupted run keeps the old chart.
  const fresh = `${target}.chart-${process.pid}`;
  for (const [path, text] of files) {
    mkdirSync(dirname(join(fresh, path)), { recursive: true });
    writeFileSync(join(fresh, path), text);
  }
  const old = `${target}.old-${process.pid}`;
  if (existsSync(target)) renameSync(target, old);
  renameSync(fresh, target);
  rmSync(old, { recursive: true, force: true });
  console.log(`${files.size} files in ${out}: helm install dev ${out} --values ${join(out, "values-dev.yaml")}`);
}

/** The blocks of a stack's configuration, by their keys. */
function ofStack(stack: string): Record<string, unknown> {
  const own = "data-platform:";
  const blocks = Object.entries(stackFile(stack).config).filter(([key]) => key.startsWith(own));
  return Object.fromEntries(blocks.map(([key, block]) => [key.slice(own.length), block]));
}

/** Refuses a directory with anything but a chart that this command wrote. */
function refuseForeign(out: string, target: string): void {
  if (!existsSync(target) || readdirSync(target).length === 0) return;
  const file = join(target, "Chart.yaml");
  if (!existsSync(file) || !readFileSync(file, "utf8").startsWith(mark))
    throw new ConfigError(
      `--out: found ${out} with files that are no chart of this platform; expected a new directory, an empty one or an earlier chart`,
    );
}
