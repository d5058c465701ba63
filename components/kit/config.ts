import * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import type { Part } from "./part.ts";
import { fingerprint } from "./secret.ts";

/** A part's configuration files: the ConfigMap to mount, and the checksum that rolls what reads them at its start. */
export function files(
  part: Part,
  piece: string,
  data: Record<string, string>,
): { name: pulumi.Output<string>; checksum: string } {
  const map = new k8s.core.v1.ConfigMap(part.named(piece), { metadata: part.metadata(piece), data }, part.child());
  return { name: map.metadata.name, checksum: fingerprint(data) };
}
