export { UserError } from "../config/errors.ts";

/** Says what a long step is doing right now, in one short line; the command line shows it beside the step's title. */
export type Say = (line: string) => void;

/** One piece of long work, in the order it must happen. Running it again after it was interrupted finishes it. */
export interface Step {
  title: string;
  /** Why there is nothing to do, or false. */
  skip?: () => string | false | Promise<string | false>;
  run: (say: Say) => Promise<void>;
}
