import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { firstOf, once, unless, when } from "../../config/derived.ts";
import type { Component } from "./component.ts";

const accounts = new WeakMap<Component, Map<string | undefined, () => pulumi.Output<string>>>();

/**
 * Name of the service account that a component's pods run under, or with `role` those of one workload that has rights
 * of its own: an existing one that the stack names, or one that is created on the first call. Without `permissions` it
 * has no rights, and its token is not mounted.
 */
export function serviceAccount(component: Component, role?: string): pulumi.Output<string> {
  const known = accounts.get(component) ?? new Map<string | undefined, () => pulumi.Output<string>>();
  accounts.set(component, known);
  const name = known.get(role) ?? once(() => nameOf(component, role));
  known.set(role, name);
  return name();
}

function nameOf(component: Component, role: string | undefined): pulumi.Output<string> {
  const { name, annotations } = component.accountOf(role);
  const created = unless(
    name,
    () =>
      new k8s.core.v1.ServiceAccount(
        component.named(role),
        {
          metadata: { ...component.metadata(role), ...when(annotations, (own) => ({ annotations: own })) },
          automountServiceAccountToken: false,
        },
        component.child(),
      ),
  );
  return pulumi.output(created?.metadata.name).apply((own) => firstOf(name, own) ?? "");
}
