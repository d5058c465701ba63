import { cp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { DerivedImage } from "../../components/kit/image.ts";
import { type Step, UserError } from "../step.ts";
import { withScratch } from "./build.ts";
import { readDockerfile } from "./dockerfile.ts";
import { buildDockerfile } from "./index.ts";
import { servedDigest } from "./store.ts";

const root = new URL("../../", import.meta.url);

/** A Dockerfile with values in place of the defaults of its ARGs. */
export const withArguments = (dockerfile: string, args: Record<string, string>): string =>
  Object.entries(args).reduce(
    (text, [name, value]) => text.replace(new RegExp(`^ARG ${name}(=.*)?$`, "m"), () => `ARG ${name}="${value}"`),
    dockerfile,
  );

/**
 * Builds an image that a stack derives from another, unless the local registry has it: its tag says what is in it. The
 * base image comes from its registry, or is built from packages first. The local registry must be running.
 */
export const derivedImageStep = ({ key, reference, folder, args, holds }: DerivedImage, byDocker: boolean): Step => ({
  title: `Image ${reference} (${holds})`,
  skip: async () => ((await servedDigest(reference).catch(() => undefined)) ? "in the local registry" : false),
  run: (say) =>
    withScratch(async (context) => {
      await cp(fileURLToPath(new URL(folder, root)), context, { recursive: true });
      const dockerfile = readDockerfile(join(context, "Dockerfile"));
      await writeFile(join(context, "Dockerfile"), withArguments(dockerfile, args));
      await buildDockerfile({ context, tag: reference, byDocker }, say).catch((error) => {
        if (!(error instanceof UserError)) throw error;
        throw new UserError(
          `${key}: the image of ${holds} cannot be built; expected packages that fit together:\n${error.message}`,
        );
      });
    }),
});
