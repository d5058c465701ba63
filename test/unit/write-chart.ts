import { charted } from "../../cli/chart.ts";
import { chartFiles } from "../../render/chart/chart.ts";
import { writeFolder } from "../../render/folder.ts";

/** Writes the chart as the program gives it now, without values of a stack. */
export const writeChart = async (folder: string): Promise<void> =>
  writeFolder(folder, await chartFiles("0.0.0", {}), charted);
