import { derived } from "./derived.ts";

/** The parts of an image reference. `registry` is "docker.io" if the reference names none. */
export interface ImageReference {
  registry: string;
  repository: string;
  tag?: string;
  digest?: string;
}

const form =
  /^((?:[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?::\d+)?\/)*)([a-z0-9]+(?:[._-]+[a-z0-9]+)*)(?::([\w][\w.-]{0,127}))?(?:@(sha256:[0-9a-f]{64}))?$/;

/** Parses `[registry/]repository[:tag][@digest]`; undefined if it is not a reference. */
export function parseImage(reference: string): ImageReference | undefined {
  const match = form.exec(reference);
  if (!match) return undefined;
  const path = `${match[1]}${match[2]}`;
  const [first = "", ...rest] = path.split("/");
  // As container runtimes decide: a first segment with a dot or a port, or localhost, is a registry.
  const named = rest.length > 0 && /[.:]|^localhost$/.test(first);
  const registry = named ? first : "docker.io";
  const inRegistry = named ? rest.join("/") : path;
  const repository = registry === "docker.io" && !inRegistry.includes("/") ? `library/${inRegistry}` : inRegistry;
  return { registry, repository, ...(match[3] && { tag: match[3] }), ...(match[4] && { digest: match[4] }) };
}

/** The tag of an image reference; empty if it has none, or is not a reference. */
export const tagOf = derived("tagOf", (reference: string): string => parseImage(reference)?.tag ?? "");

/** The reference with its digest, if `digests` has one for it. */
export function pinnedImage(reference: string, digests: Readonly<Record<string, string>>): string {
  const digest = digests[reference];
  return digest ? `${reference}@${digest}` : reference;
}

/** The reference as a pod names it: unchanged, or with the registry replaced by a mirror's prefix. Throws if it is not a reference. */
export const resolveImage = (reference: string, mirror?: string): string => mirrored(reference, mirror ?? "");

const mirrored = derived("mirrored", (reference: string, mirror: string): string => {
  if (!mirror) return reference;
  const image = parseImage(reference);
  if (!image) throw new Error(`${reference} is not an image reference`);
  const tag = image.tag ? `:${image.tag}` : "";
  const digest = image.digest ? `@${image.digest}` : "";
  return `${mirror.replace(/\/+$/, "")}/${image.repository}${tag}${digest}`;
});

/** A version of something else behind a word for the newest: `lts-22`, `stable-3`. */
const moving = /^(latest|stable|edge|nightly|lts|current|mainline|canary|rolling|next|testing|unstable|snapshot)[._-]/i;
/** `17`, `v3.1`, `2.3.0-java17`, `3.3.0rc1`; or behind a name: `release-1.2`, `RELEASE.2025-09-07T16-13-09Z`. */
const version = /^([A-Za-z]+[._-])?v?\d/;
/** A commit as git (`3f2a9c1`), `git describe` (`g3f2a9c1`) and build servers (`main-3f2a9c1`, `sha-3f2a9c1`) write it. */
const commit = /(^|[._-])(g|sha)?[0-9a-f]{7,40}($|[._-])/i;
/** A day: `nightly-20260917`, `edge-2026-09-17`. */
const day = /(^|[._-])20\d\d([.-]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])/;

/** The forms of a reference and of tags, for others to check them by. */
export const imageForms = { reference: form, moving, version, commit };

/** Whether a tag says what is in the image, by a version, a commit or a day. A word alone, such as `stable`, moves. */
export const isFixedTag = (tag: string): boolean =>
  commit.test(tag) || day.test(tag) || (version.test(tag) && !moving.test(tag));
