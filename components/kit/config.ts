import * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import type { Component } from "./component.ts";
import { fingerprint } from "./secret.ts";

/** A component's configuration files: the ConfigMap to mount, and the checksum that rolls what reads them at its start. */
export function files(
  component: Component,
  suffix: string,
  data: Record<string, string>,
): { name: pulumi.Output<string>; checksum: string } {
  const map = new k8s.core.v1.ConfigMap(
    component.named(suffix),
    { metadata: component.metadata(suffix), data },
    component.child(),
  );
  return { name: map.metadata.name, checksum: fingerprint(data) };
}
