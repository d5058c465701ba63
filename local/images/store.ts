import { createHash } from "node:crypto";
import { createReadStream, existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import writeFileAtomic from "write-file-atomic";
import { localName, localRegistry, parseReference } from "../../components/kind/reference.ts";
import { cacheDir } from "../../config/paths.ts";
import { UserError } from "../step.ts";

/**
 * Blobs by digest (`sha256/<hex>`), the layout of OCI and of the registry. The local registry serves this folder
 * (`crane registry serve --disk`), so it already has every layer, and a push only sends the manifest.
 */
export const blobDir = (): string => join(cacheDir(), "images", "blobs");
const recordDir = () => join(cacheDir(), "images", "keys");

/** The record of an image that was built. It is written last: an image without one is incomplete. */
export interface Built {
  reference: string;
  /** The manifest's digest, the image's identity in a registry. */
  digest: string;
  /** The configuration's digest, the image's id in buildah. */
  id: string;
  /** The version that the software reports, if the Dockerfile prints one. */
  holds?: string;
  /** Bytes of all layers, uncompressed. */
  bytes: number;
  /** Seconds it took. */
  seconds: number;
}

interface Manifest {
  mediaType?: string;
  config: Blob;
  layers: Blob[];
}
interface Blob {
  digest: string;
  size: number;
}

const blobFile = (digest: string) => join(blobDir(), ...digest.split(":"));
const recordFile = (key: string) => join(recordDir(), `${key}.json`);

async function readManifest(digest: string): Promise<{ text: string; manifest: Manifest }> {
  const text = await readFile(blobFile(digest), "utf8");
  return { text, manifest: JSON.parse(text) as Manifest };
}

const blobsOf = (manifest: Manifest): Blob[] => [manifest.config, ...manifest.layers];

/** The image that was built under a key; undefined if a file of it is missing. */
export async function builtUnder(key: string): Promise<Built | undefined> {
  try {
    const built = JSON.parse(await readFile(recordFile(key), "utf8")) as Built;
    const { manifest } = await readManifest(built.digest);
    for (const blob of blobsOf(manifest)) if ((await stat(blobFile(blob.digest))).size !== blob.size) return undefined;
    return built;
  } catch {
    return undefined;
  }
}

/** Moves the image that buildah wrote to a folder into the store, and records it. The folder must be on the same disk. */
export async function keep(
  layout: string,
  key: string,
  built: Pick<Built, "reference" | "holds" | "seconds">,
): Promise<Built> {
  const digest = `sha256:${sha256(await readFile(join(layout, "manifest.json")))}`;
  await mkdir(join(blobDir(), "sha256"), { recursive: true });
  for (const file of await readdir(layout)) {
    const name = file === "manifest.json" ? digest : /^[0-9a-f]{64}$/.test(file) ? `sha256:${file}` : undefined;
    if (name) await rename(join(layout, file), blobFile(name));
  }
  const { manifest } = await readManifest(digest);
  const bytes = manifest.layers.reduce((sum, layer) => sum + layer.size, 0);
  const record: Built = { ...built, digest, id: manifest.config.digest, bytes };
  await mkdir(recordDir(), { recursive: true });
  await writeFileAtomic(recordFile(key), JSON.stringify(record, null, 2));
  await forget((old, oldKey) => oldKey !== key && localName(old.reference) === localName(record.reference));
  return record;
}

/** Removes records, and the layers that no other image has. */
async function forget(which: (built: Built, key: string) => boolean): Promise<void> {
  const all = await records();
  const gone = all.filter(({ key, built }) => which(built, key));
  const blobs = async (some: typeof all) => {
    const manifests = await Promise.all(some.map(({ built }) => readManifest(built.digest).catch(() => undefined)));
    const layers = manifests.flatMap((m) => (m ? blobsOf(m.manifest).map((blob) => blob.digest) : []));
    return new Set([...some.map(({ built }) => built.digest), ...layers]);
  };
  for (const { key } of gone) await remove(recordFile(key));
  const needed = await blobs(all.filter((one) => !gone.includes(one)));
  for (const digest of await blobs(gone)) if (!needed.has(digest)) await remove(blobFile(digest));
}

/** All records, also of images with missing files. */
async function records(): Promise<{ key: string; built: Built }[]> {
  if (!existsSync(recordDir())) return [];
  const keys = (await readdir(recordDir())).filter((f) => f.endsWith(".json")).map((f) => f.slice(0, -".json".length));
  const read = async (key: string) => ({ key, built: JSON.parse(await readFile(recordFile(key), "utf8")) as Built });
  // An image whose record cannot be read is built again under the same key.
  return (await Promise.all(keys.map((key) => read(key).catch(() => undefined)))).filter((one) => one !== undefined);
}

const api = (path: string) => `http://${localRegistry}/v2/${path}`;

async function ask(url: string, init?: RequestInit): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch {
    throw new UserError(
      `The local registry at ${localRegistry} does not answer. It is started with the local cluster.`,
    );
  }
}

/** The digest of what the local registry has under an image's name. */
export async function servedDigest(reference: string): Promise<string | undefined> {
  const { path, tag } = parseReference(localName(reference));
  const accept = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";
  const response = await ask(api(`${path}/manifests/${tag}`), { method: "HEAD", headers: { accept } });
  return response.ok ? (response.headers.get("docker-content-digest") ?? undefined) : undefined;
}

/**
 * Pushes an image of the store to the local registry, without the blobs that the registry has. `there` are blobs known to be
 * there, and grows: the registry reads a whole blob to answer whether it has it.
 */
export async function push(reference: string, digest: string, there = new Set<string>()): Promise<void> {
  const { path, tag } = parseReference(localName(reference));
  const { text, manifest } = await readManifest(digest);
  for (const blob of blobsOf(manifest).filter((one) => !there.has(one.digest))) {
    const found = await ask(api(`${path}/blobs/${blob.digest}`), { method: "HEAD" });
    if (!found.ok) await upload(path, blob.digest);
    there.add(blob.digest);
  }
  const response = await ask(api(`${path}/manifests/${tag}`), {
    method: "PUT",
    headers: { "content-type": manifest.mediaType ?? "application/vnd.oci.image.manifest.v1+json" },
    body: text,
  });
  await accepted(response, `the manifest of ${reference}`);
}

async function upload(path: string, digest: string): Promise<void> {
  const started = await ask(api(`${path}/blobs/uploads/`), { method: "POST" });
  await accepted(started, "a layer");
  const target = new URL(started.headers.get("location") ?? "", `http://${localRegistry}`);
  target.searchParams.set("digest", digest);
  const body = Readable.toWeb(createReadStream(blobFile(digest))) as ReadableStream;
  await accepted(await ask(target.href, { method: "PUT", body, duplex: "half" } as RequestInit), "a layer");
}

async function accepted(response: Response, what: string): Promise<void> {
  if (response.ok) return;
  throw new UserError(`The local registry refused ${what}: ${response.status} ${await response.text()}`);
}

/** Every complete image of the store. */
export async function allBuilt(): Promise<Built[]> {
  return (await Promise.all((await records()).map(({ key }) => builtUnder(key)))).filter(
    (built) => built !== undefined,
  );
}

/** The hash of text, as hex. */
export const sha256 = (text: string | Buffer): string => createHash("sha256").update(text).digest("hex");

/** Removes a folder and all in it; nothing there is fine. */
export const remove = (path: string): Promise<void> => rm(path, { recursive: true, force: true });
