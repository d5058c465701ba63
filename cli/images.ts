import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { isMap, parseDocument } from "yaml";
import { derivedImages, ownImage } from "../components/images.ts";
import { localName } from "../components/kind/reference.ts";
import { parseImage, pinnedImage, resolveImage } from "../config/images.ts";
import type { Config } from "../config/schema.ts";
import { crane, type Registries } from "../local/images/crane.ts";
import { type Step, UserError } from "../local/step.ts";
import { imagesIn } from "../render/images.ts";
import { ConfigError, type StackFile } from "../render/stack.ts";
import { keyIn, write } from "./edit.ts";
import { anyContext, configOf, evaluateRedacted, stackFile } from "./project.ts";
import { showAll, table } from "./show.ts";

export interface ImagesOptions {
  stack: string;
  configFile?: string;
}

/** An image of a stack. */
export interface StackImage {
  /** As it is configured, or as the program derives it from the configured one. */
  reference: string;
  /** Configuration keys that it is from. */
  keys: string[];
  /** Objects that use it. */
  usedBy: string[];
  /** Its digest, if the stack pins it. */
  digest: string | undefined;
  /** Whether it is one of the platform's own, which no public registry has. */
  isOwn: boolean;
}

/** Every image of a stack, and the mirror that its pods pull from. */
export async function stackImages(file: StackFile): Promise<{ images: StackImage[]; mirror: string | undefined }> {
  // Refuses a wrong configuration with the program's own messages.
  const plain = await evaluateRedacted(withoutMirror(file), anyContext(file));
  const config = configOf(file);
  const { imageRegistry: mirror, imageDigests } = config.global;
  const images = [...imagesIn(plain)].map(([image, usedBy]) => {
    const found = parseImage(image);
    const reference = found?.digest && found.tag ? image.slice(0, image.indexOf("@")) : image;
    return {
      reference: image,
      keys: keysOf(config, image),
      usedBy,
      digest: found?.digest ?? imageDigests[reference],
      isOwn: ownImage(image) !== undefined || derivedImages(config).some(({ reference }) => reference === image),
    };
  });
  return { images: images.sort((a, b) => (a.reference < b.reference ? -1 : 1)), mirror };
}

/** The stack with each image as it is configured: without a mirror, in which it has another name, and without pinned digests. */
export function withoutMirror(file: StackFile, changes: Record<string, unknown> = {}): StackFile {
  const key = `${file.project}:global`;
  const { imageRegistry: _, imageDigests: __, ...rest } = (file.config[key] ?? {}) as Record<string, unknown>;
  return { ...file, config: { ...file.config, [key]: { ...rest, ...changes } } };
}

/** Configuration keys with an image; of an image that the program derives, those of the same repository. */
function keysOf(config: Config, image: string): string[] {
  const all = Object.entries(config).flatMap(([key, block]) =>
    key === "global" || ("enabled" in block && block.enabled === false) ? [] : textsIn(block, key),
  );
  const same = all.filter(([, text]) => text === image);
  const repository = parseImage(image)?.repository;
  const found = same.length > 0 ? same : all.filter(([, text]) => parseImage(text)?.repository === repository);
  return found.map(([path]) => path);
}

function textsIn(value: unknown, path: string): [path: string, text: string][] {
  if (typeof value === "string") return [[path, value]];
  if (value === null || typeof value !== "object") return [];
  return Object.entries(value).flatMap(([key, inner]) => textsIn(inner, `${path}.${key}`));
}

/** Prints every image of a stack, as its pods name it, with the keys that it is from. */
export async function list(options: ImagesOptions & { format?: "table" | "json" }): Promise<void> {
  const { images, mirror } = await stackImages(stackFile(options.stack, options.configFile));
  const rows = images.map((one) => ({ ...one, image: resolveImage(one.reference, mirror) }));
  if (options.format === "json") return console.log(JSON.stringify(rows, null, 2));
  console.log(
    table(
      ["IMAGE", "DIGEST", "KEY"],
      rows.map(({ image, digest, keys, isOwn }) => [
        image.replace(/@.*/, ""),
        digest ? digest.slice(0, 19) : isOwn ? "own" : "",
        keys.join(", "),
      ]),
    ),
  );
}

/**
 * Writes the digest of each image into the stack's file, `global.imageDigests`, and leaves out those of images that the
 * stack no longer has. What cannot be resolved keeps its earlier digest and is named.
 */
export async function pin(options: ImagesOptions, registries: Registries = crane): Promise<void> {
  const file = stackFile(options.stack, options.configFile);
  const before = readFileSync(file.path, "utf8");
  const { images, mirror } = await stackImages(file);
  const wanted = images.filter(({ reference }) => !parseImage(reference)?.digest);
  const digests: Record<string, string> = {};
  const lines: string[] = [];
  const steps = wanted.map(
    ({ reference, digest, isOwn }): Step => ({
      title: reference,
      skip: () => isOwn && !mirror && "one of the platform's own, which no registry has: it stays as it is",
      run: async () => {
        const from = resolveImage(reference, mirror);
        // Kept if the registry does not answer.
        if (digest) digests[reference] = digest;
        const found = await registries.digest(from).catch(reason(from, digest ? `; it keeps ${digest}` : ""));
        digests[reference] = found;
        lines.push(`${reference}: ${found}${digest === found ? "" : digest ? `, was ${digest}` : ", new"}`);
      },
    }),
  );
  const failed = await showAll(steps);
  const after = withDigests(before, file, digests);
  for (const line of lines) console.log(line);
  const name = basename(file.path);
  if (after === before) console.log(`${name}: ${lines.length > 0 ? "has these digests already" : "unchanged"}`);
  else {
    if (readFileSync(file.path, "utf8") !== before)
      throw new UserError(`${file.path}: someone has changed it meanwhile; nothing was written, run this again`);
    write(file.path, after);
    console.log(`${name}: written; \`./platform up --stack ${file.stack}\` rolls it out`);
  }
  if (failed.length > 0) throw new UserError(`not resolved:\n${linesOf(failed)}`);
}

/** A handler that adds the image to a registry's answer. */
const reason =
  (image: string, more: string) =>
  (error: unknown): never => {
    throw error instanceof UserError ? new UserError(`${image}: ${error.message}${more}`) : error;
  };

const linesOf = (errors: UserError[]): string => errors.map(({ message }) => message).join("\n");

/** A stack file's text with these digests in place of the ones that it has. */
export function withDigests(
  text: string,
  file: Pick<StackFile, "project" | "path">,
  digests: Record<string, string>,
): string {
  const sorted = Object.fromEntries(Object.entries(digests).sort(([a], [b]) => (a < b ? -1 : 1)));
  const document = parseDocument(text);
  const options = { lineWidth: 0 };
  const asItIs = document.toString(options);
  const block = ["config", keyIn(document, file, "global")];
  const path = [...block, "imageDigests"];
  const known = document.hasIn(path) ? document.getIn(path) : undefined;
  if (isDeepStrictEqual(isMap(known) ? known.toJSON() : {}, sorted)) return text;
  if (Object.keys(sorted).length === 0) document.deleteIn(path);
  else {
    // An empty file, or an empty block, has no mapping to set a key of.
    for (const above of [[], block.slice(0, 1), block])
      if (!isMap(document.getIn(above))) document.setIn(above, document.createNode({}));
    document.setIn(path, document.createNode(sorted));
  }
  if (asItIs !== text && text.trim() !== "")
    throw new ConfigError(
      `${basename(file.path)}: cannot be written without changing how the file is laid out; expected it to be there: add ${path.slice(1).join(": ")}: ${JSON.stringify(sorted)} by hand`,
    );
  return document.toString(options);
}

export interface MirrorOptions extends ImagesOptions {
  /** The mirror's prefix. Default: the stack's `global.imageRegistry`. */
  to?: string;
}

/**
 * Copies every image of a stack to a mirror, by the names that `global.imageRegistry` gives them there. Run again, it
 * copies what is missing. What could not be copied is named at the end.
 */
export async function mirror(options: MirrorOptions, registries: Registries = crane): Promise<void> {
  const file = stackFile(options.stack, options.configFile);
  const { images, mirror } = await stackImages(file);
  const to = options.to ?? mirror;
  if (!to)
    throw new ConfigError(
      `--to: found nothing, and stack ${file.stack} has no global.imageRegistry; expected a registry's prefix such as registry.example.com/mirror`,
    );
  const copies = images.map((image) => ({ ...image, ...copyOf(image, to) }));
  const steps = copies.map(
    ({ source, target, isOwn }): Step => ({
      title: target,
      skip: async () => {
        const [has, there] = await Promise.all([source, target].map((one) => registries.digest(one).catch(() => "")));
        return has !== "" && has === there && "is there already";
      },
      run: async (say) => {
        const advice = isOwn ? "; the local cluster's registry has it after an `up` there: see docs/images.md" : "";
        await registries.copy(source, target, say).catch(reason(source, advice));
      },
    }),
  );
  const failed = await showAll(steps);
  console.log(`${copies.length - failed.length} of ${copies.length} images of stack ${file.stack} are in ${to}`);
  if (failed.length > 0)
    throw new UserError(`not copied:\n${linesOf(failed)}\nRun the same command again to copy what is missing.`);
}

/** Where an image is copied from and to. The platform's own ones come from the local cluster's registry. */
function copyOf({ reference, digest, isOwn }: StackImage, to: string): { source: string; target: string } {
  const pinned = parseImage(reference)?.digest || !digest ? reference : pinnedImage(reference, { [reference]: digest });
  const { tag } = parseImage(reference) ?? {};
  const target = resolveImage(reference, to);
  return {
    source: isOwn ? localName(reference) : pinned,
    // Copied under its tag, so that people find it; an image without one by its digest.
    target: tag ? target.replace(/@.*/, "") : target,
  };
}
