import type { Evaluation, RandomSource, Resource } from "../../render/evaluate.ts";

/*
 * Programs as the engine gets them, without the SDK: what the SDK registers for a real one is tested with the whole
 * program.
 */

const types: Record<string, string> = {
  Namespace: "core/v1",
  Secret: "core/v1",
  ConfigMap: "core/v1",
  PersistentVolumeClaim: "core/v1",
  Service: "core/v1",
  StatefulSet: "apps/v1",
  Job: "batch/v1",
};

type Options = Partial<Resource["options"]>;

const withDefaults = (options: Options): Resource["options"] => ({
  dependencies: [],
  protect: false,
  retainOnDelete: false,
  ignoreChanges: [],
  aliases: [],
  deleteBeforeReplace: false,
  secretOutputs: [],
  ...options,
});

export const urn = (name: string) => `urn:${name}`;

/** An object `kind name` in the namespace `dev`, with URN `urn:<kind>-<name>`. */
export function object(
  kind: string,
  name: string,
  fields: Record<string, unknown> = {},
  options: Options = {},
): Resource {
  const version = types[kind] ?? "core/v1";
  const { metadata, ...rest } = fields as { metadata?: object };
  const place = kind === "Namespace" ? {} : { namespace: "dev" };
  return {
    urn: urn(`${kind}-${name}`),
    type: `kubernetes:${version}:${kind}`,
    name,
    custom: true,
    inputs: { apiVersion: version.replace("core/", ""), kind, metadata: { name, ...place, ...metadata }, ...rest },
    secrets: [],
    options: withDefaults(options),
  };
}

export const component = (name: string, options: Options = {}): Resource => ({
  urn: urn(name),
  type: "data-platform:index:Redis",
  name,
  custom: false,
  inputs: {},
  secrets: [],
  options: withDefaults(options),
});

export const password = (name: string, options: Options = {}): Resource => ({
  ...component(name, options),
  type: "random:index/randomPassword:RandomPassword",
  custom: true,
});

export const evaluation = (...resources: Resource[]): Evaluation => ({ stack: "dev", resources, outputs: {} });

/** A small stack: a namespace, a password in a Secret, a volume, the server on it, and a Job that needs the server. */
export function stack(
  random: RandomSource,
  change: {
    rotation?: number;
    size?: string;
    protect?: boolean;
    without?: string[];
    settings?: string;
    policy?: string;
    /** Replicas of the StatefulSet, which is annotated with a fixed number. */
    replicas?: number;
  } = {},
): Evaluation {
  const value = random({
    type: "random:index/randomPassword:RandomPassword",
    name: "db",
    inputs: { length: 32, special: false, keepers: { rotation: String(change.rotation ?? 1) } },
  });
  const annotations = { "data-platform/config-key": "db.storage.size", "pulumi.com/skipAwait": "true" };
  const { protect = false } = change;
  const all = [
    object("Namespace", "dev", {}, { protect }),
    object("Secret", "db", { stringData: { password: value } }),
    object("ConfigMap", "settings", { data: { "db.conf": change.settings ?? "a" } }),
    object(
      "PersistentVolumeClaim",
      "data-db-0",
      {
        metadata: { annotations },
        spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: change.size ?? "2Gi" } } },
      },
      { protect },
    ),
    object(
      "StatefulSet",
      "db",
      {
        ...(change.replicas && { metadata: { annotations: { "data-platform/fixed-replicas": "db.replicas" } } }),
        spec: {
          ...(change.replicas && { replicas: change.replicas }),
          serviceName: "db",
          podManagementPolicy: change.policy ?? "Parallel",
          selector: { matchLabels: { app: "db" } },
        },
      },
      { dependencies: [urn("PersistentVolumeClaim-data-db-0"), urn("Secret-db")] },
    ),
    object("Job", "users-1", { spec: { template: {} } }, { dependencies: [urn("StatefulSet-db")] }),
  ];
  return evaluation(...all.filter(({ urn }) => !change.without?.includes(urn.replace("urn:", ""))));
}
