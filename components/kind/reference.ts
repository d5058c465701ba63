import { UserError } from "../../config/errors.ts";
import { parseImage } from "../../config/images.ts";

/** Port of the registry on this machine. Not 5000, which macOS uses. */
export const registryPort = 5001;

/** The registry on this machine. containerd asks it first for every image, whatever registry the manifest names. */
export const localRegistry = `localhost:${registryPort}`;

export interface Reference {
  /** The registry as its images are named: `docker.io`, `quay.io`, `localhost:5001`. */
  host: string;
  /** The repository on it, in full: `library/redis`, `minio/minio`. */
  path: string;
  /** `latest` if the reference has none. */
  tag: string;
  /** `sha256:…` of a pinned image. */
  digest?: string;
}

/** The parts of an image reference. Throws a UserError if it is not one. */
export function parseReference(reference: string): Reference {
  const image = parseImage(reference);
  if (!image) throw new UserError(`found "${reference}"; expected an image reference such as quay.io/minio/minio:1.0`);
  const { registry: host, repository: path, tag = "latest", digest } = image;
  return { host, path, tag, digest };
}

/**
 * The name of an image in the local registry: `redis:8.2.1` → `localhost:5001/library/redis:8.2.1`.
 * The registry's own host is dropped because containerd asks a mirror by path alone.
 */
export function localName(reference: string): string {
  const { path, tag, digest } = parseReference(reference);
  return `${localRegistry}/${path}:${tag}${digest ? `@${digest}` : ""}`;
}
