import * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import type { Component } from "./component.ts";
import { checksumOf } from "./secret.ts";

/** A ConfigMap of configuration files. */
export interface ConfigFiles {
  /** The ConfigMap's name, to mount it. */
  name: pulumi.Output<string>;
  /** Changes with the contents. As a pod's checksum it rolls pods that read the files only at their start. */
  checksum: string;
}

/** Creates the ConfigMap of a component's configuration files: file name → contents. */
export function files(component: Component, suffix: string, data: Record<string, string>): ConfigFiles {
  const map = new k8s.core.v1.ConfigMap(
    component.named(suffix),
    { metadata: component.metadata(suffix), data },
    component.child(),
  );
  return { name: map.metadata.name, checksum: checksumOf(component.named(suffix), data) };
}
