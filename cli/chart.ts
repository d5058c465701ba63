import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { chartFiles, mark } from "../render/chart/chart.ts";
import { type Folder, writeFolder } from "../render/folder.ts";
import { stackNames } from "../render/stack.ts";
import { blocksOf, root, stackFile } from "./project.ts";

/** Writes the Helm chart, with the values of each stack that the checkout has. */
export async function chart({ out }: { out: string }): Promise<void> {
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
  const files = await chartFiles(
    version,
    Object.fromEntries(stackNames(root).map((stack) => [stack, blocksOf(stackFile(stack))])),
  );
  writeFolder(out, files, charted);
  console.log(`${files.size} files in ${out}: helm install dev ${out} --values ${join(out, "values-dev.yaml")}`);
}

/** The folder of a chart. Helm's other files cannot all begin with a comment, so Chart.yaml says who wrote it. */
export const charted: Folder = {
  command: "chart",
  foreign: (directory) => {
    const file = join(directory, "Chart.yaml");
    return existsSync(file) && readFileSync(file, "utf8").startsWith(mark) ? [] : readdirSync(directory);
  },
  secret: false,
};
