import Table from "cli-table3";
import { Listr, type ListrTask, PRESET_TIMER, parseTimer } from "listr2";
import { type Say, type Step, UserError } from "../local/step.ts";

/** Long work: steps one after another, or groups of them at the same time. */
export type Work = Step | { title: string; together: Work[] } | { title: string; inTurn: Work[] };

const { isTTY, columns, rows } = process.stdout;
/**
 * Whether lines can be drawn over earlier ones. Not on a terminal of unknown size, as many CI systems have: without a
 * width, the renderer would break the line after each character.
 */
const interactive = isTTY === true && columns > 0 && rows > 0;

/** Carries out the work and shows it: what runs, what it waits for, and how long it took. The first error stops it. */
export async function show(work: Work[]): Promise<void> {
  const failures: unknown[] = [];
  await run(work, failures, true).catch((error) => {
    throw failures.length > 0 ? new AggregateError(failures) : error;
  });
}

/** The same for steps that do not depend on each other: all are carried out. Returns what failed, for the user to act on. */
export async function showAll(steps: Step[]): Promise<UserError[]> {
  const failures: unknown[] = [];
  await run(steps, failures, false);
  return failures.map((failure) => {
    if (failure instanceof UserError) return failure;
    throw failure;
  });
}

const run = (work: Work[], failures: unknown[], exitOnError: boolean) =>
  new Listr(
    work.map((one) => task(one, failures)),
    {
      ...options,
      exitOnError,
      fallbackRendererCondition: !interactive,
      // interrupt.ts handles signals and prints how to continue.
      registerSignalListeners: false,
    },
  ).run();

const options = {
  exitOnError: true,
  rendererOptions: { timer: PRESET_TIMER, collapseSubtasks: true, collapseErrors: false, showErrorMessage: false },
  fallbackRendererOptions: { timer: PRESET_TIMER },
};

function task(work: Work, failures: unknown[]): ListrTask {
  if (!("run" in work)) {
    const inside = "together" in work ? work.together : work.inTurn;
    return {
      title: work.title,
      task: (_context, self) =>
        self.newListr(
          inside.map((one) => task(one, failures)),
          { ...options, concurrent: "together" in work },
        ),
    };
  }
  return {
    title: work.title,
    skip: async () => {
      const reason = (await work.skip?.()) || false;
      // On a terminal the reason is shown in place of the title.
      return reason && interactive ? `${work.title}: ${reason}` : reason;
    },
    task: async (_context, self) => {
      const progress = heartbeat((line) => {
        self.output = line;
      });
      try {
        await work.run(progress.say);
      } catch (error) {
        // Errors are printed once, in full, at the end.
        failures.push(error);
        throw new Error("see below");
      } finally {
        progress.stop();
      }
    },
  };
}

/**
 * Shows the latest message of running work with its duration: every second on a terminal, every 15 s in a log. Also for
 * work without messages, so that it does not look stuck.
 */
function heartbeat(show: Say): { say: Say; stop: () => void } {
  const start = Date.now();
  let latest = "";
  const tell = () => show(`${latest}${latest && " "}[${parseTimer(Date.now() - start)}]`);
  const timer = setInterval(tell, interactive ? 1000 : 15_000);
  // Of many lines at once only the first is drawn; `tell` shows the latest.
  let quietUntil = 0;
  const say: Say = (line) => {
    latest = line;
    if (Date.now() < quietUntil) return;
    quietUntil = Date.now() + (interactive ? 500 : 10_000);
    show(line);
  };
  return { say, stop: () => clearInterval(timer) };
}

export function table(head: string[], rows: string[][]): string {
  // Without borders and colours, so that logs stay readable and columns can be cut out.
  const none = Object.fromEntries(
    ["top", "top-mid", "top-left", "top-right", "bottom", "bottom-mid", "bottom-left", "bottom-right"]
      .concat(["left", "left-mid", "mid", "mid-mid", "right", "right-mid"])
      .map((line) => [line, ""]),
  );
  const drawn = new Table({
    head,
    chars: { ...none, middle: "  " },
    style: { head: [], border: [], "padding-left": 0, "padding-right": 0, compact: true },
  });
  drawn.push(...rows);
  return drawn.toString().replace(/ +$/gm, "");
}
