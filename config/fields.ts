import { z } from "zod";
import { isFixedTag, parseImage } from "./images.ts";
import { bytes, millicores } from "./quantity.ts";
import { takenSetting } from "./settings.ts";
import { taken } from "./taken.ts";

/*
 * The fields that every component's block is made of. The text of each refusal says what is valid;
 * config/problems.ts adds the stack, the key and what was found.
 */

/** `text`, if it matches; `expected` completes the sentence "found X; expected …". */
export const pattern = (regex: RegExp, expected: string) =>
  z.string({ error: `expected ${expected}` }).regex(regex, { error: `expected ${expected}` });

/** A mapping with these keys and no other. Make it optional with `.prefault({})`, which fills in the fields' defaults. */
export const block = <T extends z.ZodRawShape>(shape: T) =>
  z.strictObject(shape, {
    error: (issue) => (issue.code === "invalid_type" ? "expected a block of keys" : undefined),
  });

export const enabled = (byDefault = true) =>
  z.boolean({ error: "expected true or false" }).default(byDefault).describe("Whether this component runs.");

export const count = (what: string, minimum: number, maximum: number) =>
  z
    .int({ error: `expected a whole number of ${what} from ${minimum} to ${maximum}` })
    .min(minimum, { error: `expected a whole number of ${what} from ${minimum} to ${maximum}` })
    .max(maximum, { error: `expected a whole number of ${what} from ${minimum} to ${maximum}` });

/** A name that is also part of a host name (RFC 1123 label): of a namespace or a Service. */
export const dnsLabel = pattern(
  /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/,
  "a name of at most 63 lower-case letters, digits and dashes that starts and ends with a letter or digit",
);

/** The name of most other Kubernetes objects (RFC 1123 subdomain): a Secret, a ConfigMap, a class of storage or of Ingresses. */
export const objectName = pattern(
  /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/,
  "a name of at most 253 lower-case letters, digits, dashes and dots, with a letter or digit at both ends and beside each dot",
);

/** Addresses of IPv4 or IPv6 in CIDR notation. */
export const cidr = z.union([z.cidrv4(), z.cidrv6()], {
  error: "expected addresses in CIDR notation such as 10.0.0.0/8",
});

/** A host name with a dot in it: one that people type, not one of the cluster's own. */
export const hostName = pattern(
  /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+$/,
  "a host name such as polls.example.com",
);

/** A quantity in any form that Kubernetes takes; YAML reads some of them, such as 0.5 and 1e9, as numbers. */
const quantity = (expected: string) =>
  z.union([z.string(), z.number()], { error: `expected ${expected}` }).transform(String);

export const qualifiedName = /^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\/)?[A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?$/;
const qualifiedNameExpected =
  "a key such as disktype or example.com/pool: at most 63 letters, digits, dots, dashes and underscores after the prefix";

/** The key of a label, an annotation or a taint. */
export const qualifiedKey = pattern(qualifiedName, qualifiedNameExpected);

/** The value of a label. */
export const labelText = pattern(
  /^([A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?)?$/,
  "a text (a number or true in quotes) of at most 63 letters, digits, dots, dashes and underscores, with a letter or digit at both ends",
);

/** Keys that the platform, Pulumi or Kubernetes sets. */
export const reservedKey =
  /^((app\.kubernetes\.io|data-platform|pulumi\.com|batch\.kubernetes\.io)\/.*|pod-template-hash|controller-revision-hash)$/;

/** A mapping by qualified keys. `mine`: whether the platform sets this key itself. */
const keyed = (value: z.ZodType<string>, mine: (key: string) => boolean) =>
  z.record(z.string(), value, { error: "expected texts by their keys" }).superRefine((values, context) => {
    for (const [key, input] of Object.entries(values)) {
      const refuse = (message: string) => context.addIssue({ code: "custom", path: [key], input, message });
      if (!qualifiedName.test(key)) refuse(`expected ${qualifiedNameExpected}`);
      else if (mine(key)) refuse("expected another key: the platform sets this one; use a prefix of your own instead");
    }
  });

/** Labels to select by: any. */
export const anyLabels = keyed(labelText, () => false);

/** Labels that select objects: at least one, so that they do not select all. */
export const selectingLabels = anyLabels.refine((all) => Object.keys(all).length > 0, {
  error: "expected at least one label",
});

/** Labels to add to an object. `taken` are those that the component sets beside the standard ones. */
export const labels = (taken: readonly string[] = []) =>
  keyed(labelText, (key) => reservedKey.test(key) || taken.includes(key));

/** Annotations to add to an object. */
export const annotations = () =>
  keyed(z.string({ error: "expected a text (a number or true in quotes)" }), (key) => reservedKey.test(key));

const cpuExpected = "a CPU quantity above 0 such as 250m or 2";
export const cpu = quantity(cpuExpected).pipe(
  z.string().refine((text) => millicores(text) > 0 && millicores(text) <= 1e9, { error: `expected ${cpuExpected}` }),
);

/** A smaller size is a mistake: no program and no file system fits into it. */
const smallestSize = "1Mi";
/** Up to here JavaScript counts bytes exactly. */
const largestSize = "8Pi";
const sizeExpected = "a size such as 512Mi, 1.5Gi or 2G";
export const memory = quantity(sizeExpected).pipe(
  z.string().superRefine((text, context) => {
    const refuse = (expected: string) => context.addIssue({ code: "custom", message: `expected ${expected}` });
    const size = bytes(text);
    if (Number.isNaN(size)) refuse(sizeExpected);
    else if (size < bytes(smallestSize))
      refuse(`${sizeExpected}, at least ${smallestSize}: without a unit it is bytes`);
    else if (size > bytes(largestSize)) refuse(`${sizeExpected}, at most ${largestSize}`);
  }),
);

/** Requests and limits of a container. CPU has no limit by default: throttling a busy container leaves a node's CPU idle. */
export const resources = (of: { cpu: string; memory: string; limit?: string }) =>
  block({
    requests: block({
      cpu: cpu.prefault(of.cpu).describe("CPU the scheduler sets aside."),
      memory: memory.prefault(of.memory).describe("Memory the scheduler sets aside."),
    }).prefault({}),
    limits: block({
      cpu: cpu.optional().describe("CPU the container may use at most. Without it: what the node has free."),
      memory: memory.prefault(of.limit ?? of.memory).describe("Memory at which the container is killed."),
    }).prefault({}),
  })
    .superRefine(({ requests, limits }, context) => {
      if (bytes(limits.memory) < bytes(requests.memory))
        context.addIssue({
          code: "custom",
          path: ["limits", "memory"],
          input: limits.memory,
          message: `expected at least resources.requests.memory, which is ${requests.memory}`,
        });
      if (limits.cpu && millicores(limits.cpu) < millicores(requests.cpu))
        context.addIssue({
          code: "custom",
          path: ["limits", "cpu"],
          input: limits.cpu,
          message: `expected at least resources.requests.cpu, which is ${requests.cpu}`,
        });
    })
    .prefault({});

/** A volume that outlives its pod. Below `least`, its software would not get far. */
export const storage = (size: string, what = "the volume", least = smallestSize) =>
  block({
    size: memory
      .refine((found) => !(bytes(found) >= bytes(smallestSize) && bytes(found) < bytes(least)), {
        error: `expected at least ${least}`,
      })
      .prefault(size)
      .describe(`Size of ${what}. It can grow if the storage class allows it; it never shrinks.`),
    storageClass: objectName
      .optional()
      .describe("Storage class. Default: `global.storageClass`, else the cluster's own."),
  }).prefault({});

/** Annotations of the Service that clients use. Keys of the platform and of Pulumi are not the stack's to set. */
export const serviceAnnotations = annotations()
  .optional()
  .describe(
    "Annotations of that Service, such as those by which a cloud makes its load balancer internal. They add to `global.serviceAnnotations`.",
  );

/** How clients outside the cluster reach a component. */
export const service = block({
  type: z
    .enum(["ClusterIP", "NodePort", "LoadBalancer"], { error: "expected ClusterIP, NodePort or LoadBalancer" })
    .default("ClusterIP")
    .describe("Kind of the Service that clients use."),
  annotations: serviceAnnotations,
}).prefault({});

/** How people outside the cluster reach an application: by a Service that suits the cluster, and by a host name. */
export const reached = (host: string) => ({
  service: block({
    type: z
      .enum(["ClusterIP", "NodePort", "LoadBalancer"], { error: "expected ClusterIP, NodePort or LoadBalancer" })
      .optional()
      .describe(
        "Kind of the Service. Default, by `global.cluster`: NodePort on kind and embedded, LoadBalancer on eks, aks and gke, else ClusterIP.",
      ),
    annotations: serviceAnnotations,
  }).prefault({}),
  ingress: block({
    host: hostName.optional().describe(host),
    className: objectName.optional().describe("Which controller the Ingress is for. Default: the cluster's own."),
    tlsSecret: objectName.optional().describe("Name of a Secret with the certificate for the host. Default: no TLS."),
  })
    .superRefine(({ host, className, tlsSecret }, context) => {
      for (const [key, value] of Object.entries({ className, tlsSecret }))
        if (value && !host)
          context.addIssue({
            code: "custom",
            path: [key],
            input: value,
            message: "expected ingress.host beside it: without one there is no Ingress",
          });
    })
    .prefault({}),
});

/** Where a component's password comes from: generated and kept (the default), or an existing Secret. */
export const auth = (keys: string) =>
  block({
    rotation: count("rotations", 1, 1_000_000)
      .default(1)
      .describe("Raise it by one to generate every password of this component again and apply it."),
    existingSecret: objectName
      .optional()
      .describe(
        `Name of a Secret to use instead of a generated one, in each namespace that docs/secrets.md lists for it; it holds ${keys}.`,
      ),
    password: z
      .never({
        error:
          "expected no password here: leave it out and one is generated, or name a Secret that holds it in auth.existingSecret",
      })
      .optional()
      .describe("Never set: a stack file holds no password."),
  }).prefault({});

/** A key of a Secret or ConfigMap. */
const dataKey = pattern(/^[-._A-Za-z0-9]{1,253}$/, "a key of letters, digits, dots, dashes and underscores");

export const secretVariable = /(PASSWORD|PASSWD|SECRET|TOKEN|SECRET_KEY|API_?KEY|PRIVATE_KEY|CREDENTIALS)$/i;
/** `://user:password@`, where the password is not another variable's. */
const passwordInUrl = /:\/\/[^/\s:@]*:(?!\$\()[^/\s@]+@/;

/** What a variable may be: a text, or a key of a Secret or ConfigMap. */
export const variableValue = z.union(
  [
    z.string(),
    block({ secretKeyRef: block({ name: objectName, key: dataKey }) }),
    block({ configMapKeyRef: block({ name: objectName, key: dataKey }) }),
  ],
  {
    error: "expected a text (a number in quotes), secretKeyRef: {name, key} or configMapKeyRef: {name, key}",
  },
);

/**
 * Further variables of a container, as Kubernetes names them. `sets` are those that the platform alone sets, each with
 * the key to use instead, or "" if there is none. A name that ends in `*` stands for all that begin so.
 */
export const environment = (sets: Readonly<Record<string, string>>) => ({
  env: z
    .record(z.string(), variableValue, { error: "expected variables by their names" })
    .superRefine((env, context) => {
      for (const [name, value] of Object.entries(env)) {
        const refuse = (message: string) => context.addIssue({ code: "custom", path: [name], message });
        const instead = takenSetting(sets, name);
        if (!/^[A-Za-z_]\w*$/.test(name)) refuse("expected a variable's name of letters, digits and underscores");
        else if (instead !== undefined)
          refuse(`expected another variable: the platform sets this one${instead && `; use ${instead} instead`}`);
        else if (typeof value !== "string") continue;
        else if ((secretVariable.test(name) && !/^(\$\(\w+\))?$/.test(value)) || passwordInUrl.test(value))
          refuse("expected no password here: name a Secret's key by secretKeyRef, or a variable as $(NAME)");
      }
    })
    .default({})
    .describe(
      "Further variables: a text, in which `$(NAME)` is the value of a variable of the platform's, or a key by `secretKeyRef: {name, key}` or `configMapKeyRef: {name, key}`.",
    )
    .register(taken, { taken: Object.keys(sets) }),
  envFrom: z
    .array(
      z.union(
        [block({ secretRef: block({ name: objectName }) }), block({ configMapRef: block({ name: objectName }) })],
        { error: "expected secretRef: {name} or configMapRef: {name}" },
      ),
      { error: "expected a list of secretRef: {name} and configMapRef: {name}" },
    )
    .default([])
    .describe(
      "Secrets and ConfigMaps of the namespace whose keys become variables: `secretRef: {name}`, `configMapRef: {name}`. What the platform sets has precedence.",
    ),
});

const imageExpected = "expected an image with a version or a commit as its tag, or a digest, such as";

export const imageReference = (example: string) =>
  z.string({ error: `${imageExpected} ${example}` }).superRefine((reference, context) => {
    const found = parseImage(reference);
    const refuse = (message: string) => context.addIssue({ code: "custom", message });
    if (!found) refuse(`${imageExpected} ${example}`);
    else if (found.digest) return;
    else if (!found.tag) refuse(`${imageExpected} ${example}: without a tag it means latest`);
    else if (!isFixedTag(found.tag)) refuse(`${imageExpected} ${example}: a tag that moves is refused`);
  });

/** The image of a component, which a stack may change. `pin` is the default: the version that is tested. */
export const image = (pin: string) =>
  imageReference(pin)
    .default(pin)
    .describe("Image, with a version or a commit as its tag, or a digest. The pin is tested; another is yours to try.");
