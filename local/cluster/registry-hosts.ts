import { registryHost } from "./layout.ts";

/** The registries that images of the platform come from: a manifest's name is looked up on this machine first. */
const upstreams: Record<string, string> = {
  "docker.io": "https://registry-1.docker.io",
  "quay.io": "https://quay.io",
  "ghcr.io": "https://ghcr.io",
  "gcr.io": "https://gcr.io",
  "registry.k8s.io": "https://registry.k8s.io",
  "public.ecr.aws": "https://public.ecr.aws",
};

/** containerd's `certs.d`: `quay.io/minio/minio:X` is asked of `http://<mirror>/v2/minio/minio` and then of quay.io itself. */
export function registryHosts(mirror = `http://${registryHost}`): { path: string; content: string }[] {
  const host = (url: string) => `[host."${url}"]\n  capabilities = ["pull", "resolve"]\n`;
  return [
    ...Object.entries(upstreams).map(([name, server]) => ({
      path: `${name}/hosts.toml`,
      content: `server = "${server}"\n\n${host(mirror)}`,
    })),
    { path: `${registryHost}/hosts.toml`, content: `server = "${mirror}"\n` },
    // Any other registry: containerd falls back to the one that the image names.
    { path: "_default/hosts.toml", content: host(mirror) },
  ];
}
