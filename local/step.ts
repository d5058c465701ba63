export { UserError } from "../config/errors.ts";

/** Reports what a step is doing, in one short line that the command line shows beside the step's title. */
export type Say = (line: string) => void;

/** One step of a long task; steps run in order. Running it again after an interruption completes it. */
export interface Step {
  title: string;
  /** The reason why there is nothing to do, or false. */
  skip?: () => string | false | Promise<string | false>;
  run: (say: Say) => Promise<void>;
}
