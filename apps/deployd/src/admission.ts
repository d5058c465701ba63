import { type Cluster, type KubeObject, type Ref, Unsupported } from "./kube.ts";
import { misnamed } from "./names.ts";
import { keyOf, refOf, titleOf } from "./objects.ts";
import type { RepositorySettings } from "./settings.ts";

/* What a repository may declare, checked before anything of it is applied. */

/** The names of deployd's own objects: its records, configuration, Secrets and account. */
const reserved = /^deployd(-|$)/;

/** Whether an object is one of the platform's components', by the label that they all carry. */
export const isPlatforms = ({ metadata }: KubeObject): boolean =>
  metadata.labels?.["app.kubernetes.io/part-of"] === "data-platform";

export interface Admitted {
  objects: KubeObject[];
  /** Objects that are left out, each with the reason. Only with `skipUnsupported`. */
  skipped: string[];
}

/** The objects that can be deployed. Throws one error with all problems. */
export async function admit(cluster: Cluster, all: KubeObject[], of: RepositorySettings): Promise<Admitted> {
  refuse(all.flatMap(names));
  const { objects, unsupported } = await supported(cluster, all, of);
  if (!of.skipUnsupported) refuse(unsupported, "; skipUnsupported: true deploys the rest");
  const declared = new Set(objects.map((object) => keyOf(refOf(object))));
  const problems: string[] = [];
  for (const object of objects) problems.push(...(await foreign(cluster, object, of, declared)));
  refuse(problems);
  if (objects.length === 0) throw new Error(`nothing that deployd may deploy is declared: ${joined(unsupported)}`);
  return { objects, skipped: unsupported };
}

/** Throws one error with all problems, if there are any. */
export function refuse(problems: string[], hint = ""): void {
  if (problems.length > 0) throw new Error(joined(problems) + hint);
}

/** How many problems an error lists; it counts the others. */
const listed = 8;
const joined = (problems: string[]): string =>
  [...problems.slice(0, listed), ...(problems.length > listed ? [`and ${problems.length - listed} more`] : [])].join(
    "; ",
  );

/** Problems of an object's name, which need no cluster. */
function names(object: KubeObject): string[] {
  const ref = refOf(object);
  const problem = misnamed(ref);
  if (problem) return [`${JSON.stringify(titleOf(ref)).slice(1, -1).slice(0, 120)}: ${problem}`];
  if (reserved.test(ref.name))
    return [`${titleOf(ref)}: the name deployd and names that begin with deployd- are deployd's own`];
  return [];
}

/** The objects of namespaced kinds that the cluster has and deployd has rights for; and the others, with the reason. */
async function supported(cluster: Cluster, all: KubeObject[], { namespace }: RepositorySettings) {
  const reasons = new Map<string, string | undefined>();
  const objects: KubeObject[] = [];
  const unsupported: string[] = [];
  for (const object of all) {
    const ref = refOf(object);
    const kind = `${ref.apiVersion} ${ref.kind}`;
    if (!reasons.has(kind)) reasons.set(kind, await reason(cluster, ref, namespace));
    const why = reasons.get(kind);
    if (why) unsupported.push(`${titleOf(ref)}: ${why}`);
    else objects.push(object);
  }
  return { objects, unsupported };
}

const reason = (cluster: Cluster, ref: Ref, namespace: string): Promise<string | undefined> =>
  cluster.get(ref, namespace).then(
    () => undefined,
    (error: Error) => {
      if (error instanceof Unsupported) return error.message;
      throw error;
    },
  );

/**
 * Problems of what an object uses: ServiceAccounts that the repository does not declare, and ConfigMaps and claims of the
 * platform. deployd has no right to read Secrets, so of those only its own names are refused.
 */
async function foreign(
  cluster: Cluster,
  object: KubeObject,
  of: RepositorySettings,
  declared: Set<string>,
): Promise<string[]> {
  const title = titleOf(refOf(object));
  const problems: string[] = [];
  for (const { kind, name } of uses(object)) {
    if (declared.has(keyOf({ apiVersion: "v1", kind, name }))) continue;
    if (kind === "ServiceAccount") {
      if (name === "default" || of.serviceAccounts.includes(name)) continue;
      problems.push(
        `${title} runs as ServiceAccount ${name}, which this repository does not declare: declare it, or add it to serviceAccounts in deployd's configuration`,
      );
      continue;
    }
    const problem = misnamed({ apiVersion: "v1", kind, name });
    if (problem) problems.push(`${title} uses a ${kind}: ${problem}`);
    else if (reserved.test(name)) problems.push(`${title} uses ${kind} ${name}, which is deployd's own`);
    else if (kind !== "Secret" && (await usedByPlatform(cluster, kind, name, of.namespace)))
      problems.push(`${title} uses ${kind} ${name}, which belongs to the platform`);
  }
  return problems;
}

/** Whether an object exists and belongs to the platform. */
async function usedByPlatform(cluster: Cluster, kind: Use["kind"], name: string, namespace: string): Promise<boolean> {
  const live = await cluster.get({ apiVersion: "v1", kind, name }, namespace);
  if (!live) return false;
  if (isPlatforms(live)) return true;
  if (kind !== "PersistentVolumeClaim" || !/-\d+$/.test(name)) return false;
  // A StatefulSet's claim has no label of it, but is named <template>-<StatefulSet>-<ordinal>.
  const parts = name.replace(/-\d+$/, "").split("-");
  for (let i = 1; i < parts.length; i++) {
    const ref = { apiVersion: "apps/v1", kind: "StatefulSet", name: parts.slice(i).join("-") };
    const set = misnamed(ref) ? undefined : await cluster.get(ref, namespace);
    if (set && isPlatforms(set)) return true;
  }
  return false;
}

interface Use {
  kind: "ServiceAccount" | "Secret" | "ConfigMap" | "PersistentVolumeClaim";
  name: string;
}

/** Fields that name another object, at any depth: its kind, and the path of its name below the field. */
const fields: Record<string, [Use["kind"], ...string[]]> = {
  serviceAccountName: ["ServiceAccount"],
  // The deprecated alias of serviceAccountName.
  serviceAccount: ["ServiceAccount"],
  secretName: ["Secret"],
  secret: ["Secret", "secretName", "name"],
  secretRef: ["Secret", "name"],
  secretKeyRef: ["Secret", "name"],
  nodePublishSecretRef: ["Secret", "name"],
  imagePullSecrets: ["Secret", "name"],
  configMap: ["ConfigMap", "name"],
  configMapRef: ["ConfigMap", "name"],
  configMapKeyRef: ["ConfigMap", "name"],
  persistentVolumeClaim: ["PersistentVolumeClaim", "claimName"],
};
/** Fields with free keys, which are no field names. */
const words = new Set(["metadata", "data", "binaryData", "selector", "matchLabels", "nodeSelector"]);

function uses(object: KubeObject): Use[] {
  const found = new Map<string, Use>();
  const add = (kind: Use["kind"], name: unknown) => {
    if (typeof name === "string" && name !== "") found.set(`${kind} ${name}`, { kind, name });
  };
  const walk = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    // Object.entries of a list has the indices as keys.
    for (const [key, below] of Object.entries(value)) {
      if (words.has(key)) continue;
      const [kind, ...paths] = Object.hasOwn(fields, key) ? (fields[key] ?? []) : [];
      for (const one of kind ? [below].flat() : []) {
        if (paths.length === 0) add(kind as Use["kind"], one);
        else for (const path of paths) add(kind as Use["kind"], (one as Record<string, unknown> | null)?.[path]);
      }
      // A claim that is cloned from another one.
      if (key === "dataSource" || key === "dataSourceRef") {
        const { kind: from, name } = (below ?? {}) as { kind?: unknown; name?: unknown };
        if (from === "PersistentVolumeClaim") add(from, name);
      }
      walk(below);
    }
  };
  walk(object);
  for (const claim of claimsOf(object)) add("PersistentVolumeClaim", claim);
  return [...found.values()];
}

/** A StatefulSet uses an existing claim with the name of one of its own. Claims of at most so many pods are checked. */
const ordinals = 32;

function claimsOf({ kind, metadata, spec }: KubeObject): string[] {
  if (kind !== "StatefulSet" || !Array.isArray(spec?.volumeClaimTemplates)) return [];
  const start = Number(spec.ordinals?.start ?? 0);
  const count = Math.min(Number(spec.replicas ?? 1), ordinals);
  const templates = spec.volumeClaimTemplates as { metadata?: { name?: unknown } }[];
  return templates.flatMap((one) =>
    Array.from({ length: count }, (_, i) => `${one?.metadata?.name}-${metadata.name}-${start + i}`),
  );
}
