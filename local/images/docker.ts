import type { Say } from "../step.ts";
import { buildArguments, definitionOf, folderOf } from "./definitions.ts";
import { localName } from "./reference.ts";
import { run } from "./run.ts";

/**
 * Has Docker build one of the platform's own images and push it to the local registry. It is done at every run: where
 * nothing has changed, BuildKit's cache has all of it.
 */
export async function buildByDocker(reference: string, say: Say): Promise<void> {
  const definition = definitionOf(reference);
  if (!definition) throw new Error(`${reference} has no definition`);
  const name = localName(reference);
  const args = Object.entries(buildArguments(definition, reference)).map(
    ([key, value]) => `--build-arg=${key}=${value}`,
  );
  const options = { env: { DOCKER_BUILDKIT: "1" }, show: (line: string) => /^#\d+ (\[.*)/.exec(line)?.[1] };
  await run(say, ["docker", "build", "--progress=plain", "--tag", name, ...args, folderOf(definition)], options);
  say("pushing to the local registry");
  await run(say, ["docker", "push", "--quiet", name]);
}
