import * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import { once } from "../../config/derived.ts";
import type { Component } from "./component.ts";

const accounts = new WeakMap<Component, Map<string | undefined, () => pulumi.Output<string>>>();

/**
 * Name of the service account that a component's pods run under, or with `role` those of one workload that has rights
 * of its own. Without `permissions` it has none, and its token is not mounted. Created on the first call.
 */
export function serviceAccount(component: Component, role?: string): pulumi.Output<string> {
  const known = accounts.get(component) ?? new Map<string | undefined, () => pulumi.Output<string>>();
  accounts.set(component, known);
  const name =
    known.get(role) ??
    once(
      () =>
        new k8s.core.v1.ServiceAccount(
          component.named(role),
          { metadata: component.metadata(role), automountServiceAccountToken: false },
          component.child(),
        ).metadata.name,
    );
  known.set(role, name);
  return name();
}
