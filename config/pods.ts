import { z } from "zod";
import {
  annotations,
  anyLabels,
  block,
  count,
  environment,
  labels,
  labelText,
  objectName,
  qualifiedKey,
} from "./fields.ts";
import { taken } from "./taken.ts";

/*
 * What a stack may say of pods, for all components alike: where they run, and their identity. The keys have the names
 * that Kubernetes gives them in a pod's specification.
 */

const listOf = <T extends z.ZodType>(item: T, what: string) => z.array(item, { error: `expected a list of ${what}` });

const effects = ["NoSchedule", "PreferNoSchedule", "NoExecute"] as const;
const toleration = block({
  key: qualifiedKey.optional(),
  operator: z.enum(["Equal", "Exists"], { error: "expected Equal or Exists" }).optional(),
  value: labelText.optional(),
  effect: z.enum(effects, { error: `expected ${effects.join(", ")}, or none for all of them` }).optional(),
  tolerationSeconds: count("seconds", 0, 31_536_000).optional(),
})
  .superRefine(({ key, operator, value, effect, tolerationSeconds }, context) => {
    const refuse = (path: string, input: unknown, message: string) =>
      context.addIssue({ code: "custom", path: [path], input, message });
    if (operator === "Exists" && value !== undefined)
      refuse("value", value, "expected no value beside operator: Exists, which tolerates every value");
    if (!key && operator !== "Exists")
      refuse("key", key, "expected a taint's key, or operator: Exists without one to tolerate every taint");
    if (tolerationSeconds !== undefined && effect !== "NoExecute")
      refuse("tolerationSeconds", tolerationSeconds, "expected effect: NoExecute beside it: only that one evicts pods");
  })
  .meta({ id: "Toleration" });

const operators = (names: readonly string[]) =>
  block({
    key: qualifiedKey,
    operator: z.enum(names as [string, ...string[]], { error: `expected ${names.join(", ")}` }),
    values: listOf(z.string({ error: "expected a text" }), "texts").optional(),
  }).superRefine(({ operator, values = [] }, context) => {
    const needsNone = operator === "Exists" || operator === "DoesNotExist";
    const needsOne = operator === "Gt" || operator === "Lt";
    const refuse = (message: string) => context.addIssue({ code: "custom", path: ["values"], input: values, message });
    if (needsNone && values.length > 0) refuse(`expected no values beside operator: ${operator}`);
    else if (needsOne && values.length !== 1)
      refuse(`expected one value, a number in quotes, beside operator: ${operator}`);
    else if (!needsNone && values.length === 0) refuse(`expected values beside operator: ${operator}`);
  });
const nodeTerm = block({
  matchExpressions: listOf(operators(["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]), "expressions").optional(),
  matchFields: listOf(operators(["In", "NotIn"]), "expressions").optional(),
});
const selector = block({
  matchLabels: anyLabels.optional(),
  matchExpressions: listOf(operators(["In", "NotIn", "Exists", "DoesNotExist"]), "expressions").optional(),
});
const podTerm = block({
  labelSelector: selector.optional(),
  namespaceSelector: selector.optional(),
  namespaces: listOf(objectName, "names of namespaces").optional(),
  topologyKey: qualifiedKey,
});
const weight = count("points", 1, 100);
const podRules = block({
  requiredDuringSchedulingIgnoredDuringExecution: listOf(podTerm, "terms").optional(),
  preferredDuringSchedulingIgnoredDuringExecution: listOf(
    block({ weight, podAffinityTerm: podTerm }),
    "terms",
  ).optional(),
});
const affinity = block({
  nodeAffinity: block({
    requiredDuringSchedulingIgnoredDuringExecution: block({
      nodeSelectorTerms: listOf(nodeTerm, "terms"),
    }).optional(),
    preferredDuringSchedulingIgnoredDuringExecution: listOf(
      block({ weight, preference: nodeTerm }),
      "terms",
    ).optional(),
  }).optional(),
  podAffinity: podRules.optional(),
  podAntiAffinity: podRules.optional(),
}).meta({ id: "Affinity" });

/** The section of the reference page that describes the keys. */
const section = "pods";

/** The platform's own priority classes, the most important first: what others depend on is scheduled before them. */
export const priorities = ["storage", "compute", "web"] as const;
export type Priority = (typeof priorities)[number];

const zones = z.enum(["ignored", "preferred", "required"], { error: "expected ignored, preferred or required" });

/** Keys that a default for every component may have too. `mine` are labels that a component sets itself. */
const placement = (mine: readonly string[] = []) => ({
  nodeSelector: anyLabels.optional().describe("Labels that a node must have."),
  tolerations: listOf(toleration, "tolerations").optional().describe("Taints of nodes that the pods tolerate."),
  affinity: affinity.optional().describe("Rules for nodes and for pods beside it, as in a pod's specification."),
  labels: labels(mine)
    .optional()
    .describe("Labels of the pods, beside the platform's own.")
    .register(taken, { taken: mine }),
  annotations: annotations().optional().describe("Annotations of the pods, beside the platform's own."),
  priorityClassName: objectName
    .optional()
    .describe("Name of an existing PriorityClass. It has precedence over the platform's own."),
  runtimeClassName: objectName.optional().describe("Name of an existing RuntimeClass, such as gvisor."),
});

/** Keys that depend on the software, so that a default for every component makes no sense. */
const process = (instead?: string) => ({
  zones: zones
    .optional()
    .describe(
      "Whether replicas spread over zones. required: a pod waits rather than break the balance, and nodes without a zone are not used. Default: `global.pods.zones`.",
    ),
  priority: z
    .enum(priorities, { error: `expected ${priorities.join(", ")}` })
    .describe(
      "Which of the platform's priority classes the pods have, with `global.priorityClasses`. Default: that of the component.",
    ),
  terminationGracePeriodSeconds: instead
    ? z
        .never({ error: `expected nothing here: the platform computes it; use ${instead} instead` })
        .optional()
        .describe(`Never set: it follows from \`${instead}\`.`)
    : count("seconds", 1, 86_400)
        .optional()
        .describe("Seconds between SIGTERM and SIGKILL. Default: what the software needs to stop cleanly."),
  runAsUser: count("user ID", 1, 2_147_483_647)
    .optional()
    .describe("User ID of the processes; never root. Default: the user of the image."),
  runAsGroup: count("group ID", 0, 2_147_483_647)
    .optional()
    .describe("Group ID of the processes and their volumes. Default: the group of the image."),
});

/** What a component says of itself for the keys `pods`, `serviceAccount`, `env` and `envFrom`. */
interface Workload<Role extends string> {
  /** Default priority: `storage` for what others keep their data in, `compute` for what works on it, `web` for the rest. */
  priority: Priority;
  /** Roles with needs of their own: values of the label app.kubernetes.io/component. Default: none. */
  roles?: readonly Role[];
  /** Labels of its pods beside the standard ones. Default: none. */
  labels?: readonly string[];
  /** The key that the grace period follows from. Default: it is free. */
  gracePeriodFrom?: string;
  /** Roles whose pods have other rights than the component's, and so an account of their own. Default: none. */
  accounts?: readonly Role[];
}

/** Placement and identity of a component's pods, and of those of each role. */
export const pods = <Role extends string = never>(of: Workload<Role>) => {
  const { priority, ...rest } = process(of.gracePeriodFrom);
  const keys = { ...placement(of.labels), ...rest };
  const role = block({ ...keys, priority: priority.optional() });
  const names = of.roles ?? [];
  const roles = Object.fromEntries(names.map((name) => [name, role.optional()]));
  const some = names.length > 0 ? ` By \`roles.<role>\` for ${names.join(", ")} alone.` : "";
  return block({
    ...keys,
    priority: priority.default(of.priority),
    // Object.fromEntries forgets the names.
    roles: block(roles as Record<Role, z.ZodOptional<typeof role>>).prefault({} as never),
  })
    .prefault({})
    .meta({ section, description: `Placement and identity of its pods. Priority: ${of.priority}.${some}` });
};

/** Placement of pods that an operator or a chart makes, which offers less. */
export const placedPods = (usual: Priority) => {
  const { runtimeClassName: _, ...keys } = placement();
  return block({ ...keys, priority: process().priority.default(usual) })
    .prefault({})
    .meta({
      section,
      description: `Placement and identity of its pods: the keys up to priorityClassName, and priority. Priority: ${usual}.`,
    });
};

const accountName = (description: string) =>
  objectName
    .refine((name) => name !== "default", {
      error: "expected another account: pods that name none run as default, so what it may do, they may too",
    })
    .optional()
    .describe(description);

/** The service account of a component's pods, and the existing ones of `roles`. */
const serviceAccount = (roles: readonly string[] = []) => {
  const role = block({
    name: accountName("Name of an existing ServiceAccount for the pods of this role. Default: that of the component."),
  }).prefault({});
  const ofRoles = block(Object.fromEntries(roles.map((name) => [name, role]))).prefault({});
  const some = roles.length > 0 ? ` By \`roles.<role>.name\` another one for ${roles.join(", ")}.` : "";
  return block({
    name: accountName(
      "Name of an existing ServiceAccount in the component's namespace. The platform then makes neither an account nor a Role nor a RoleBinding for the component: docs/pods.md lists what the account must be allowed to do.",
    ),
    annotations: annotations()
      .optional()
      .describe(
        "Annotations of the account that the platform makes, such as the one by which a cloud gives its pods an identity.",
      ),
    // The key is unknown for other components, which the type does not say.
    ...((roles.length > 0 ? { roles: ofRoles } : {}) as { roles: typeof ofRoles }),
  })
    .superRefine(({ name, annotations = {} }, context) => {
      if (name && Object.keys(annotations).length > 0)
        context.addIssue({
          code: "custom",
          path: ["annotations"],
          input: annotations,
          message: "expected no annotations beside name: the account exists, so it has those that you gave it",
        });
    })
    .prefault({})
    .meta({ section: "accounts", description: `The ServiceAccount of its pods.${some}` });
};

/** Defaults of `pods` for every component. */
export const globalPods = block({
  ...placement(),
  zones: zones
    .default("ignored")
    .describe(
      "Whether replicas spread over zones. Of Kafka and MinIO, which need a majority, preferred is taken as required.",
    ),
}).prefault({});

/**
 * The keys that all components have in common: `pods`, `serviceAccount`, and `env` with `envFrom`. `sets` are the variables
 * that the platform sets, by the key to use instead; `""` if there is none.
 */
export const workload = <Role extends string = never>({
  sets = {},
  ...of
}: Workload<Role> & { sets?: Readonly<Record<string, string>> }) => ({
  pods: pods(of),
  serviceAccount: serviceAccount(of.accounts),
  ...environment(sets),
});

/** What a stack says of the pods of one role. */
export type RolePods = Omit<z.output<typeof globalPods>, "zones"> & {
  zones?: "ignored" | "preferred" | "required" | undefined;
  priority?: Priority | undefined;
  terminationGracePeriodSeconds?: number | undefined;
  runAsUser?: number | undefined;
  runAsGroup?: number | undefined;
};

/** What a stack says of a component's pods: the output of `workload`. */
export interface WorkloadSettings {
  pods: RolePods & { priority: Priority; roles?: { [role: string]: RolePods | undefined } };
  serviceAccount?: AccountSettings;
  env?: EnvironmentSettings["env"];
  envFrom?: EnvironmentSettings["envFrom"];
}
/** What a stack says of a component's service account. */
export interface AccountSettings {
  name?: string | undefined;
  annotations?: Record<string, string> | undefined;
  roles?: { [role: string]: { name?: string | undefined } | undefined };
}
type EnvironmentSettings = z.output<ReturnType<typeof environmentBlock>>;
const environmentBlock = () => block(environment({}));
