import { stringify, type TomlTable } from "smol-toml";
import { localRegistry } from "./reference.ts";

/** Registries of the platform's images, each with the address of its API. */
const upstreams: Record<string, string> = {
  "docker.io": "https://registry-1.docker.io",
  "quay.io": "https://quay.io",
  "ghcr.io": "https://ghcr.io",
  "gcr.io": "https://gcr.io",
  "registry.k8s.io": "https://registry.k8s.io",
  "public.ecr.aws": "https://public.ecr.aws",
};

const capabilities = ["pull", "resolve"];

/** containerd's `certs.d`: `quay.io/minio/minio:X` is asked of `http://<mirror>/v2/minio/minio` and then of quay.io itself. */
export function registryHosts(mirror = `http://${localRegistry}`): { path: string; content: string }[] {
  const file = (name: string, content: TomlTable) => ({ path: `${name}/hosts.toml`, content: stringify(content) });
  const host = { [mirror]: { capabilities } };
  return [
    ...Object.entries(upstreams).map(([name, server]) => file(name, { server, host })),
    file(localRegistry, { server: mirror }),
    // Any other registry: containerd falls back to the one that the image names.
    file("_default", { host }),
  ];
}
