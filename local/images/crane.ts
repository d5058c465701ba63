import { execa } from "execa";
import { binary } from "../cluster/binaries.ts";
import { type Say, UserError } from "../step.ts";

/** What is asked of image registries. */
export interface Registries {
  /** The digest of an image, of all its platforms together. Throws a UserError with the registry's answer. */
  digest(reference: string): Promise<string>;
  /** Copies an image with all its platforms. Layers that the target has are not sent again. */
  copy(source: string, target: string, say: Say): Promise<void>;
}

/** By the program `crane`, which reads the credentials of `docker login`. It is built at the first call. */
export const crane: Registries = {
  digest: async (reference) => (await run(["digest", reference])).trim(),
  copy: async (source, target, say) => {
    await run(["copy", source, target], say);
  },
};

async function run(args: string[], say: Say = () => {}): Promise<string> {
  const child = execa(await binary("crane", say), args, { reject: false, buffer: true });
  // `2026/11/26 06:20:02 pushed blob: sha256:…`
  for await (const line of child.iterable({ from: "stderr" })) say(line.replace(/^\S+ \S+ /, ""));
  const { exitCode, stdout, stderr } = await child;
  if (exitCode === 0) return stdout;
  const last = stderr.trim().split("\n").at(-1) ?? "";
  throw new UserError(last.replace(/^Error: /, "") || `crane ${args[0]} failed`);
}
