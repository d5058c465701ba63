import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { createUnder, derived, itemsWhen } from "../config/derived.ts";
import type { Config } from "../config/schema.ts";
import { defaultDeny, type Flow, flows, type Policy, type Port, policies, type Rules } from "./kit/flows.ts";
import type { Network } from "./kit/network.ts";
import { componentOf, registry } from "./registry.ts";

/**
 * Ports of DNS and of the API server behind their Services, since a policy sees the port after the Service's address is
 * replaced. 53 and 443 are the usual ones, 5353 and 6443 those of OpenShift and kubeadm; the embedded cluster's are in
 * local/cluster/layout.ts.
 */
export function clusterPorts(cluster: Config["global"]["cluster"]): { dns: Port[]; api: Port[] } {
  const embedded = isEmbedded(cluster);
  const dns = (port: number): Port[] => [
    { protocol: "UDP", port },
    { protocol: "TCP", port },
  ];
  const api = (port: number): Port[] => [{ protocol: "TCP", port }];
  return {
    dns: [...dns(53), ...dns(5353), ...itemsWhen(embedded, () => dns(20053))],
    api: [...api(443), ...api(6443), ...itemsWhen(embedded, () => api(26443))],
  };
}

const isEmbedded = derived("isEmbedded", (cluster: string): boolean => cluster === "embedded");

/** Every connection that the stack allows. Throws if a component connects to what does not exist. */
export const flowsOf = (network: Network, global: Config["global"]): Flow[] => flows(network, rulesOf(global));

/** The configuration's part of the flows. */
const rulesOf = ({ cluster, networkPolicies }: Config["global"]): Rules => ({
  ...networkPolicies,
  ...clusterPorts(cluster),
  components: Object.keys(registry),
  componentOf,
});

/** What the stack's NetworkPolicies are made from. */
export interface NetworkPoliciesArgs {
  stack: string;
  config: Config;
  /** The complete model. */
  network: Network;
  /** Resources to create first, by the name of each namespace. */
  namespaces: { name: string; ready: pulumi.Resource[] }[];
}

/** NetworkPolicies that allow the connections of the model and nothing else. */
export class NetworkPolicies extends pulumi.ComponentResource {
  constructor(name: string, args: NetworkPoliciesArgs, opts?: pulumi.ComponentResourceOptions) {
    super("data-platform:index:NetworkPolicies", name, {}, opts);
    const { stack, config, network, namespaces } = args;
    // Of those with pods of the platform: what deployd deploys has policies of its own repository.
    const names = namespaces.map(({ name }) => name);
    const all = policies(network, rulesOf(config.global), names);
    const make = (policy: Policy, after: pulumi.Resource[]) =>
      createUnder(
        policy.conditions,
        () =>
          new k8s.networking.v1.NetworkPolicy(
            `${policy.namespace}-${policy.name}`,
            {
              metadata: {
                name: policy.name,
                namespace: policy.namespace,
                labels: {
                  "app.kubernetes.io/instance": stack,
                  ...policy.labels,
                  "app.kubernetes.io/part-of": "data-platform",
                  "app.kubernetes.io/managed-by": "pulumi",
                },
              },
              spec: policy.spec,
            },
            {
              parent: this,
              dependsOn: [...(namespaces.find(({ name }) => name === policy.namespace)?.ready ?? []), ...after],
            },
          ),
      );
    // What is allowed comes first: while a running stack gets its policies, no connection that it needs is denied.
    const allowed = all.filter(({ name }) => name !== defaultDeny).map((policy) => make(policy, []));
    for (const policy of all) if (policy.name === defaultDeny) make(policy, allowed);
    this.registerOutputs({});
  }
}
