import { ending, fenceFor, shares } from "./text.ts";

/** What `pulumi preview` did for one stack. */
export interface Preview {
  stack: string;
  failed: boolean;
  /** Its output. Undefined if it was not started. */
  output?: string;
}

/**
 * Previews of all stacks as Markdown for a comment, at most `maxLength` UTF-16 units. Each stack keeps the end of its
 * output, where the errors are; the shorter ones leave their room to the longer ones.
 */
export function previewPage(previews: Preview[], maxLength: number): string {
  const write = (outputs: string[]) => `${previews.map((one, i) => section(one, outputs[i] ?? "")).join("\n\n")}\n`;
  const outputs = previews.map(({ output = "" }) => output.trim());
  const lengths = outputs.map((output) => output.length);
  // The text around the outputs, whose fences have as many backticks as the whole outputs need.
  const around = write(outputs).length - lengths.reduce((sum, length) => sum + length, 0);
  const room = shares(lengths, maxLength - around);
  return write(outputs.map((output, i) => shortened(output, room[i] ?? 0)));
}

const cut = "…\n";
const shortened = (output: string, length: number) =>
  output.length <= length ? output : length <= cut.length ? "" : cut + ending(output, length - cut.length);

function section({ stack, failed, output }: Preview, shown: string): string {
  const title = `## \`pulumi preview --stack ${stack}\``;
  if (output === undefined) return `${title}\n\nIt was not started: see the log of the run.`;
  const fence = fenceFor(shown);
  const summary = failed ? "failed" : counts(output);
  return `${title}\n\n<details><summary>${summary}</summary>\n\n${fence}\n${shown}\n${fence}\n\n</details>`;
}

/** `+ 3 to create, 12 unchanged` of the lines under `Resources:`. */
const counts = (output: string): string =>
  (/^Resources:\n((?:.+\n?)*)/m.exec(output)?.[1] ?? "done")
    .replace(/[^\w\s.,:+~-]/g, "")
    .trim()
    .split(/\s*\n\s*/)
    .join(", ");
