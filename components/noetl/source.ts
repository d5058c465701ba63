import * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import type { Component } from "../kit/component.ts";
import { fingerprint } from "../kit/secret.ts";

/**
 * A claim on a directory of the node. Pod Security does not allow pods a hostPath volume, so a PersistentVolume has it.
 * The names contain a hash of the path, because neither object can be changed to another path.
 */
export function sourceClaim(component: Component, path: string): pulumi.Output<string> {
  const suffix = `source-${fingerprint(path)}`;
  const { name, labels } = component.metadata(suffix);
  const spec = {
    accessModes: ["ReadOnlyMany"],
    // An empty class: no provisioner creates a volume for the claim.
    storageClassName: "",
  };
  const volume = new k8s.core.v1.PersistentVolume(
    component.named("source"),
    {
      metadata: { name: `${component.namespace.name}-${name}`, labels },
      spec: {
        ...spec,
        capacity: { storage: "1Mi" },
        hostPath: { path, type: "Directory" },
        persistentVolumeReclaimPolicy: "Retain",
        claimRef: { namespace: component.namespace.name, name },
      },
    },
    component.child(),
  );
  return new k8s.core.v1.PersistentVolumeClaim(
    component.named("source"),
    {
      metadata: {
        ...component.metadata(suffix),
        // Pulumi would wait until it is bound; its pod waits for that anyway.
        annotations: { "pulumi.com/skipAwait": "true" },
      },
      spec: { ...spec, volumeName: volume.metadata.name, resources: { requests: { storage: "1Mi" } } },
    },
    component.child({ dependsOn: [volume] }),
  ).metadata.name;
}
