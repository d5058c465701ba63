import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import type { Config } from "../config/schema.ts";
import { defaultDeny, type Flow, flows, type Policy, policies, type Rules } from "./kit/flows.ts";
import type { Network } from "./kit/network.ts";
import { registry } from "./registry.ts";

/**
 * Ports of DNS and of the API server behind their Services, since a policy sees the port after the Service's address is
 * replaced. 53 and 443 are the usual ones, 5353 and 6443 those of OpenShift and kubeadm; the embedded cluster's are in
 * local/cluster/layout.ts.
 */
export const clusterPorts = (cluster: Config["global"]["cluster"]) => ({
  dns: [53, 5353, ...(cluster === "embedded" ? [20053] : [])],
  api: [443, 6443, ...(cluster === "embedded" ? [26443] : [])],
});

/** Every connection that the stack allows. Throws if a component connects to what does not exist. */
export const flowsOf = (network: Network, global: Config["global"]): Flow[] => flows(network, rulesOf(global));

/** The configuration's part of the flows. */
const rulesOf = ({ cluster, networkPolicies }: Config["global"]): Rules => ({
  allowFrom: networkPolicies.allowFrom,
  connections: networkPolicies.connections.map(({ from, to }) => ({
    from: registry[from].names,
    to: registry[to].names,
  })),
  outside: networkPolicies.outside.map(({ from, ...rest }) => ({ ...rest, from: registry[from].names })),
  apiPorts: clusterPorts(cluster).api,
});

/** What the stack's NetworkPolicies are made from. */
export interface NetworkPoliciesArgs {
  stack: string;
  config: Config;
  /** The complete model. */
  network: Network;
  /** The allowed connections, of `flowsOf`. */
  flows: Flow[];
  /** Resources to create first, by the name of each namespace. */
  namespaces: { name: string; ready: pulumi.Resource[] }[];
}

/** NetworkPolicies that allow the connections of the model and nothing else. */
export class NetworkPolicies extends pulumi.ComponentResource {
  constructor(name: string, args: NetworkPoliciesArgs, opts?: pulumi.ComponentResourceOptions) {
    super("data-platform:index:NetworkPolicies", name, {}, opts);
    const { stack, config, network, flows, namespaces } = args;
    // Those with pods of the platform: what deployd deploys has policies of its own repository.
    const used = namespaces.filter(({ name }) => network.workloads.some(({ pods }) => pods.namespace === name));
    const all = policies(
      flows,
      used.map(({ name }) => name),
      clusterPorts(config.global.cluster).dns,
    );
    const make = (policy: Policy, after: pulumi.Resource[]) =>
      new k8s.networking.v1.NetworkPolicy(
        `${policy.namespace}-${policy.name}`,
        {
          metadata: {
            name: policy.name,
            namespace: policy.namespace,
            labels: {
              ...policy.spec.podSelector.matchLabels,
              "app.kubernetes.io/part-of": "data-platform",
              "app.kubernetes.io/instance":
                policy.spec.podSelector.matchLabels?.["app.kubernetes.io/instance"] ?? stack,
              "app.kubernetes.io/managed-by": "pulumi",
            },
          },
          spec: policy.spec,
        },
        {
          parent: this,
          dependsOn: [...(namespaces.find(({ name }) => name === policy.namespace)?.ready ?? []), ...after],
        },
      );
    // What is allowed comes first: while a running stack gets its policies, no connection that it needs is denied.
    const allowed = all.filter(({ name }) => name !== defaultDeny).map((policy) => make(policy, []));
    for (const policy of all) if (policy.name === defaultDeny) make(policy, allowed);
    this.registerOutputs({});
  }
}
