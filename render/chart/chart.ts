import { stringify } from "yaml";
import { z } from "zod";
import { Platform } from "../../components/platform.ts";
import { type ComponentKey, componentOf, registry } from "../../components/registry.ts";
import { traced } from "../../config/derived.ts";
import { fixedReplicas } from "../../config/immutable-fields.ts";
import { parseConfig } from "../../config/problems.ts";
import { type Config, schema } from "../../config/schema.ts";
import { taken } from "../../config/taken.ts";
import { evaluate, type RandomSource } from "../evaluate.ts";
import { type KubeObject, type Manifest, manifests } from "../manifests.ts";
import { checks } from "./checks.ts";
import { conditionalKey, plainName, text } from "./expressions.ts";
import { functions } from "./functions.ts";
import { helmSchema } from "./helm-schema.ts";
import { isWhole, missing } from "./keys.ts";
import { Passwords } from "./passwords.ts";
import { clientTests, testFunctions } from "./tests.ts";
import { notes, readme } from "./texts.ts";
import { chartTracer, conditionsOf } from "./tracer.ts";
import { defaultsOf, isBlockOf, type Schema, Symbolic } from "./values.ts";
import { Defines, guarded, looped, newLoops, Writer } from "./write.ts";

/** The components that the chart has. */
export const chartComponents = [
  "postgresql",
  "redis",
  "minio",
  "nessie",
  "kafka",
  "schemaRegistry",
  "clickhouse",
  "trino",
  "flink",
  "spark",
  "airflow",
  "superset",
  "noetl",
  "polls",
  "djangoApps",
  "webApp",
  "deployd",
  "monitoring",
] as const satisfies ComponentKey[];

/** The first line of a chart, by which `./platform chart` recognises its own. */
export const mark = "# Written by ./platform chart: change the program, not this file.\n";

/** The keys of a stack. Those that the chart does not have are fixed to their defaults, with the reason. */
export function valuesSchema(): Schema {
  const whole = z.toJSONSchema(schema, {
    io: "input",
    unrepresentable: "any",
    override: ({ zodSchema, jsonSchema }) => Object.assign(jsonSchema, taken.get(zodSchema)),
  }) as Schema;
  const charted: readonly string[] = ["global", "frontDoor", "namespaces", ...chartComponents];
  return {
    ...whole,
    properties: Object.fromEntries(
      Object.entries(whole.properties ?? {}).map(([key, block]) => [
        key,
        charted.includes(key) ? known(block, key) : { fixed: undefined, description: missing(key) },
      ]),
    ),
  };
}

/** A schema without the keys that the chart does not have. */
function known(of: Schema, path: string): Schema {
  const { properties, additionalProperties } = of;
  const entries = Object.entries(properties ?? {})
    .filter(([, inner]) => !inner.not)
    .map(([key, inner]): [string, Schema] => {
      const inside = `${path}.${key}`;
      const reason = missing(inside);
      if (!isBlockOf(inner)) return [key, reason ? fixed(inner, inside) : known(inner, inside)];
      const block = known(inner, inside);
      return [key, hasKeys(block) ? block : fixed(inner, inside)];
    });
  return {
    ...of,
    ...(properties && isWhole(path) && { whole: true }),
    ...(properties && { properties: Object.fromEntries(entries) }),
    ...(typeof additionalProperties === "object" && {
      additionalProperties: known(additionalProperties, `${path}.*`),
    }),
  };
}

const fixed = (of: Schema, path: string): Schema => ({
  fixed: of.properties ? (of.default === undefined ? undefined : defaultsOf(of)) : of.default,
  ...(missing(path) && { description: missing(path) }),
});

const hasKeys = ({ properties = {} }: Schema): boolean =>
  Object.values(properties).some((inner) => !("fixed" in inner) && (!isBlockOf(inner) || hasKeys(inner)));

/** Keys of the chart alone, beside those of a stack. */
const own: Record<string, Schema> = {
  secrets: {
    type: "object",
    default: {},
    properties: {
      create: {
        type: "boolean",
        default: true,
        description:
          "Whether the chart makes Secrets with generated passwords and keeps them at upgrades. With false they must exist: `./platform secrets` writes them.",
      },
    },
  },
};
const ownDefaults = defaultsOf({ properties: own });
const withOwn = (schema: Schema): Schema => ({ ...schema, properties: { ...schema.properties, ...own } });

/** Blocks of a stack's configuration, by their keys. */
export type Blocks = Readonly<Record<string, unknown>>;

/** A stack's configuration as values of the chart: the keys that it has. */
export function values(config: Blocks): Record<string, unknown> {
  const only = (of: Schema, value: unknown): unknown =>
    of.properties
      ? Object.fromEntries(
          Object.entries(of.properties).flatMap(([key, inner]) => {
            const found = "fixed" in inner ? undefined : (value as Record<string, unknown>)[key];
            if (found === undefined) return [];
            const kept = only(inner, found);
            // Nothing is left of a block: its keys are named above the values.
            return isEmpty(kept) && !isEmpty(found) ? [] : [[key, kept]];
          }),
        )
      : typeof of.additionalProperties === "object" && of.additionalProperties.properties
        ? Object.fromEntries(
            Object.entries(value as Record<string, unknown>).map(([name, one]) => [
              name,
              only(of.additionalProperties as Schema, one),
            ]),
          )
        : value;
  return only(valuesSchema(), config) as Record<string, unknown>;
}

const isEmpty = (value: unknown): boolean =>
  typeof value === "object" && value !== null && Object.keys(value).length === 0;

/** Keys of a stack's configuration that the chart does not have, by their paths. */
export function leftOut(config: Blocks): string[] {
  const within = (of: Schema, value: unknown, path: string): string[] =>
    (of.properties ? Object.entries((value ?? {}) as Record<string, unknown>) : []).flatMap(([key, found]) => {
      const inner = of.properties?.[key];
      const inside = path ? `${path}.${key}` : key;
      if (!inner || "fixed" in inner) return [inside];
      if (inner.properties) return within(inner, found, inside);
      const { additionalProperties: entry } = inner;
      return typeof entry === "object"
        ? Object.entries(found as object).flatMap(([name, one]) => within(entry, one, `${inside}.${name}`))
        : [];
    });
  return within(valuesSchema(), config, "");
}

/** A stack's configuration without what the chart does not have. `changes`: blocks of a stack. */
export const configured = (name: string, changes: Record<string, unknown> = {}): Config =>
  parseConfig(name, {
    ...changes,
    ...Object.fromEntries(absent.map((key) => [key, { enabled: false }])),
  });

const absent = Object.keys(registry).filter((key) => !chartComponents.some((charted) => charted === key));

/** Whether the chart has an object: those of its components and of the namespaces. */
export const isCharted = ({ metadata }: Pick<KubeObject, "kind" | "metadata">): boolean => {
  const name = metadata.labels?.["app.kubernetes.io/name"];
  const component = name === undefined ? undefined : componentOf(name);
  return component === undefined || chartComponents.some((key) => key === component);
};

/** The objects of the program for a configuration. */
export async function objectsOf(name: string, config: Config, random: RandomSource): Promise<Manifest[]> {
  const program = () => {
    new Platform({ stack: name, config, cluster: {} });
    return {};
  };
  return manifests(await evaluate({ program, stack: "chart", config: {}, random }));
}

/** A configuration with expressions where the schema has keys, and the values of `base` elsewhere. */
function overlaid(base: unknown, own: unknown): unknown {
  const isPlainBlock = (of: unknown): of is Record<string, unknown> =>
    of !== null && typeof of === "object" && Object.getPrototypeOf(of) === Object.prototype;
  if (!isPlainBlock(base) || !isPlainBlock(own)) return own;
  for (const [key, value] of Object.entries(base))
    own[key] = own[key] === undefined ? value : overlaid(value, own[key]);
  return own;
}

/** The chart as files: path → contents. `stacks`: the configuration of each stack as its file has it, by blocks. */
export async function chartFiles(version: string, stacks: Record<string, Blocks>): Promise<Map<string, string>> {
  const schema = valuesSchema();
  const symbolic = new Symbolic();
  const defines = new Defines();
  const writer = new Writer(defines);
  // The schema made these blocks, so they have the shape of the configuration.
  const config = overlaid(configured("chart"), symbolic.value(schema, "$.Values")) as Config;
  const tracer = chartTracer(symbolic, writer, defines);
  const passwords = new Passwords(writer, defines);
  const objects = await traced(tracer, () => objectsOf(text("$.Release.Name"), config, passwords.source));
  const defaults = {
    repositoryDefaults: defaultsOf(schema.properties?.deployd?.properties?.repositories?.items ?? {}),
    appDefaults: defaultsOf((schema.properties?.djangoApps?.additionalProperties ?? {}) as Schema),
  };
  const templates = new Map<string, string>();
  for (const { urn, object: found, conditions = [] } of objects) {
    if (!isCharted(found)) continue;
    const object = byHelm(kept(found.kind === "Secret" ? passwords.stored(found, urn) : found));
    const loops = newLoops([object.metadata.name], []);
    const lines = looped(
      loops,
      guarded(conditionsOf([...(object.kind === "Secret" ? ["$.Values.secrets.create"] : []), ...conditions]), [
        ...finalValues(object, writer),
        "---",
        ...writer.object(object, loops),
      ]),
    );
    const component = plainName(object.metadata.labels?.["app.kubernetes.io/name"] ?? "namespaces");
    const path = `templates/${component}.yaml`;
    templates.set(path, `${templates.get(path) ?? ""}${lines.join("\n")}\n`);
  }
  return new Map<string, string>([
    [
      "Chart.yaml",
      mark +
        stringify({
          apiVersion: "v2",
          name: "data-platform",
          description: "A data platform on Kubernetes",
          type: "application",
          version,
          appVersion: version,
          kubeVersion: ">=1.30.0-0",
        }),
    ],
    ["values.yaml", mark + stringify({ ...values(configured("chart")), ...ownDefaults })],
    ...Object.entries(stacks).map(([name, blocks]): [string, string] => [
      `values-${name}.yaml`,
      `${mark}${leftOut(blocks)
        .map((path) => `# Left out, since the chart does not have it: ${path}\n`)
        .join("")}${stringify(values(blocks))}`,
    ]),
    ["values.schema.json", `${JSON.stringify(helmSchema(withOwn(schema)), null, 2)}\n`],
    ["templates/_functions.tpl", `${functions}${Object.entries(defaults).map(definition).join("")}`],
    ["templates/_defines.tpl", defines.file],
    ["templates/_passwords.tpl", passwords.file],
    ["templates/checks.yaml", checks(schema)],
    ["templates/NOTES.txt", notes],
    ["templates/_tests.tpl", testFunctions],
    ["templates/tests/clients.yaml", clientTests],
    ["README.md", readme(withOwn(schema))],
    ...templates,
  ]);
}

/** Lines that refuse another value than the cluster has, where it is final: a volume's size, a number of members. */
function finalValues({ kind, metadata, spec }: KubeObject, writer: Writer): string[] {
  const { namespace, name, annotations = {} } = metadata;
  // The fields of these two kinds, as the program makes them.
  const { resources, replicas } = (spec ?? {}) as { resources?: Inputs; replicas?: unknown };
  const check = (template: string, value: unknown, key: unknown) => [
    `{{- include "data-platform.${template}" (list ${[namespace, name, value, key].map((one) => writer.operand(one)).join(" ")}) }}`,
  ];
  if (kind === "PersistentVolumeClaim" && annotations["data-platform/config-key"])
    return check("checkVolume", resources?.requests?.storage, annotations["data-platform/config-key"]);
  if (kind === "StatefulSet" && annotations[fixedReplicas])
    return check("checkReplicas", replicas, annotations[fixedReplicas]);
  return [];
}

interface Inputs {
  requests?: { storage?: unknown };
}

/** A template that is a value in JSON. */
const definition = ([name, value]: [string, object]): string =>
  `\n{{- define "data-platform.${name}" -}}\n${JSON.stringify(value)}\n{{- end }}\n`;

/** The object with Helm as its manager. */
const byHelm = (object: KubeObject): KubeObject =>
  JSON.parse(
    JSON.stringify(object).replaceAll(
      '"app.kubernetes.io/managed-by":"pulumi"',
      '"app.kubernetes.io/managed-by":"Helm"',
    ),
  );

/** The object, which an uninstall keeps if it holds data and the data is protected. */
function kept(object: KubeObject): KubeObject {
  if (!["Namespace", "PersistentVolumeClaim", "PersistentVolume", "Secret"].includes(object.kind)) return object;
  const keep = { [conditionalKey("$.Values.global.protectData")]: { "helm.sh/resource-policy": "keep" } };
  const annotations = { ...object.metadata.annotations, ...keep };
  return { ...object, metadata: { ...object.metadata, annotations: annotations as Record<string, string> } };
}
