import { randomBytes } from "node:crypto";
import { seeded } from "../render/evaluate.ts";
import { writeFolder } from "../render/folder.ts";
import { type KubeObject, manifests } from "../render/manifests.ts";
import { rendered, renderFiles } from "../render/render.ts";
import { ConfigError, refuseEncrypted } from "../render/stack.ts";
import { anyContext, evaluateStack, stackFile } from "./project.ts";
import { readSeed } from "./render.ts";

export interface SecretsOptions {
  stack: string;
  configFile?: string;
  out: string;
  as: "secrets" | "external-secrets";
  store?: string;
  seedFile?: string;
}

/** Writes a stack's Secrets alone, for a Helm chart or manifests that are to find them in the cluster. */
export async function secrets(options: SecretsOptions): Promise<void> {
  const { store } = options;
  const external = options.as === "external-secrets";
  if (external !== (store !== undefined))
    throw new ConfigError(
      external
        ? "--as external-secrets: found no --store; expected the name of a ClusterSecretStore"
        : "--store: found it without --as external-secrets; expected both or neither",
    );
  const file = stackFile(options.stack, options.configFile);
  refuseEncrypted(file, "give the value to a Secret of your own and name it here");
  const seed = options.seedFile === undefined ? randomBytes(32).toString("hex") : readSeed(options.seedFile);
  const evaluation = await evaluateStack(file, {
    random: seeded(seed),
    context: anyContext(file),
  });
  const all = manifests(evaluation)
    .filter(({ object }) => object.kind === "Secret")
    .map((manifest) =>
      store ? { ...manifest, object: externalSecret(options.stack, store, manifest.object) } : manifest,
    );
  writeFolder(options.out, renderFiles(options.stack, all), rendered({ secret: !external }));
  console.log(
    `${all.length} ${external ? "ExternalSecrets" : "Secrets"} of stack ${options.stack} in ${options.out}: kubectl apply -k ${options.out}` +
      (external || options.seedFile !== undefined ? "" : ". Keep them: the next run generates other passwords"),
  );
}

/** What External Secrets reads a Secret from: an entry of the store named after stack, namespace and Secret. */
export function externalSecret(stack: string, store: string, { metadata, stringData }: KubeObject): KubeObject {
  const { name, namespace } = metadata;
  const key = `${stack}/${namespace}/${name}`;
  return {
    apiVersion: "external-secrets.io/v1",
    kind: "ExternalSecret",
    metadata,
    spec: {
      refreshInterval: "1h",
      secretStoreRef: { kind: "ClusterSecretStore", name: store },
      target: { name },
      data: Object.keys(stringData as object).map((property) => ({
        secretKey: property,
        remoteRef: { key, property },
      })),
    },
  };
}
