import { registryHost } from "../cluster/layout.ts";

/** The registry on this machine. containerd asks it first for every image, whatever registry the manifest names. */
export const localRegistry = registryHost;

export interface Reference {
  /** The registry as its images are named: `docker.io`, `quay.io`, `localhost:5001`. */
  host: string;
  /** The repository on it, in full: `library/redis`, `minio/minio`. */
  path: string;
  /** `latest` where none is written. */
  tag: string;
  /** `sha256:…` of a pinned image. */
  digest?: string;
}

/** Reads an image reference as containerd and Docker do: no registry means Docker Hub, one word means `library/`. */
export function parseReference(reference: string): Reference {
  const [name = "", digest] = reference.split("@");
  const [, beforeTag = name, tag = "latest"] = /^(.*?)(?::([^/:]+))?$/.exec(name) ?? [];
  const [first = "", ...rest] = beforeTag.split("/");
  const hasHost = rest.length > 0 && (/[.:]/.test(first) || first === "localhost");
  const host = hasHost ? first : "docker.io";
  const path = hasHost ? rest.join("/") : beforeTag;
  return { host, path: host === "docker.io" && !path.includes("/") ? `library/${path}` : path, tag, digest };
}

/** Registry and repository, without the tag: `docker.io/library/redis`. */
export const repositoryOf = (reference: string): string => {
  const { host, path } = parseReference(reference);
  return `${host}/${path}`;
};

/**
 * Where an image is found in the local registry: `redis:8.2.1` → `localhost:5001/library/redis:8.2.1`.
 * The registry's own host is dropped because a mirror is asked by path alone.
 */
export function localName(reference: string): string {
  const { path, tag, digest } = parseReference(reference);
  return `${localRegistry}/${path}:${tag}${digest ? `@${digest}` : ""}`;
}
