import type { Say } from "../step.ts";
import { buildArguments, definitionOf, folderOf } from "./definitions.ts";
import { localName } from "./reference.ts";
import { run } from "./run.ts";

/**
 * Builds one of the platform's own images with Docker and pushes it to the local registry. Done at every run: without a
 * change, every step comes from BuildKit's cache.
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
