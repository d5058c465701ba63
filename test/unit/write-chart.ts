import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { chartFiles } from "../../render/chart/chart.ts";

/** Writes the chart as the program gives it now, without values of a stack. */
export async function writeChart(folder: string): Promise<void> {
  for (const [path, text] of await chartFiles("0.0.0", {})) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
}
