import { readFileSync } from "node:fs";
import { redacted, seeded } from "../render/evaluate.ts";
import { writeFolder } from "../render/folder.ts";
import { manifests } from "../render/manifests.ts";
import { rendered, renderFiles } from "../render/render.ts";
import { ConfigError, redactEncrypted, refuseCharts, refuseEncrypted } from "../render/stack.ts";
import { anyContext, evaluateStack, stackFile } from "./project.ts";

export interface RenderOptions {
  stack: string;
  configFile?: string;
  out: string;
  secrets: "redacted" | "seeded";
  seedFile?: string;
}

export async function render(options: RenderOptions): Promise<void> {
  const file = stackFile(options.stack, options.configFile);
  const seed = options.secrets === "seeded" ? readSeed(options.seedFile) : undefined;
  if (seed) refuseEncrypted(file, "run `pulumi up`, or give the value to a Secret of your own and name it here");
  const evaluation = await evaluateStack(seed ? file : redactEncrypted(file), {
    random: seed ? seeded(seed) : redacted,
    context: anyContext(file),
  });
  refuseCharts(
    evaluation,
    "run `pulumi up`, or install the operator yourself and set cloudnativePg.operator to existing",
  );
  const files = renderFiles(options.stack, manifests(evaluation));
  writeFolder(options.out, files, rendered({ secret: seed !== undefined }));
  console.log(`${files.size - 1} objects of stack ${options.stack} in ${options.out}: kubectl apply -k ${options.out}`);
}

const shortest = 16;

/** The seed, without the newline that a file ends with. It decides every password, so a guessable one is refused. */
export function readSeed(path: string | undefined): string {
  const from = path ?? "PLATFORM_SEED";
  let seed = process.env.PLATFORM_SEED ?? "";
  if (path !== undefined) {
    try {
      seed = readFileSync(path, "utf8");
    } catch (error) {
      throw new ConfigError(
        `--seed-file: ${path}: ${(error as NodeJS.ErrnoException).code}; expected a file with the seed`,
      );
    }
  }
  seed = seed.trim();
  if (seed === "")
    throw new ConfigError(
      "--secrets seeded: found no seed; expected --seed-file FILE or PLATFORM_SEED: `openssl rand -hex 32` makes one",
    );
  if (seed.length < shortest)
    throw new ConfigError(
      `${from}: found ${seed.length} characters; expected at least ${shortest}: \`openssl rand -hex 32\` makes a seed`,
    );
  return seed;
}
