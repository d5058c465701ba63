// Prints the output of `pulumi preview` for each stack as one page for a comment: `write-previews.ts <folder>
// <stack>…`. The folder has the output of each stack in a file of its name, and `<stack>.failed` beside it if it
// failed.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { previewPage } from "./preview.ts";

/** A comment on GitHub holds 65,536 characters, and its workflow adds a line. */
const maxLength = 65_000;

const [folder = ".", ...stacks] = process.argv.slice(2);
const previews = stacks.map((stack) => {
  const file = join(folder, stack);
  return {
    stack,
    failed: existsSync(`${file}.failed`),
    ...(existsSync(file) && { output: readFileSync(file, "utf8") }),
  };
});
process.stdout.write(previewPage(previews, maxLength));
