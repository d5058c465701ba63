import { z } from "zod";
import { schema } from "./schema.ts";

/*
 * What people and editors read about the configuration, generated from the schema. `npm run docs` writes both
 * files; a test compares them.
 */

interface Node {
  $ref?: string;
  /** The section that describes its keys: the page has them once, not for each component. */
  section?: string;
  description?: string;
  type?: string | string[];
  default?: unknown;
  enum?: string[];
  minimum?: number;
  maximum?: number;
  properties?: Record<string, Node>;
  /** What a mapping holds whose keys are names. */
  additionalProperties?: Node;
  items?: Node;
  anyOf?: Node[];
  required?: string[];
  not?: object;
}

/** Each block of a stack's configuration as a JSON schema, and the definitions that they share. */
const blocks = (): { components: [key: string, block: Node][]; $defs: Record<string, Node> } => {
  const whole = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as Node & {
    $defs?: Record<string, Node>;
  };
  return { components: Object.entries(whole.properties ?? {}), $defs: whole.$defs ?? {} };
};

/** A JSON schema of the stack files, for completion and checks in an editor. */
export function editorSchema(): string {
  const { components, $defs } = blocks();
  return `${JSON.stringify(
    {
      $schema: "https://json-schema.org/draft/2020-12/schema",
      title: "A stack of the data platform",
      type: "object",
      properties: {
        config: {
          type: "object",
          properties: {
            ...Object.fromEntries(components.map(([component, node]) => [`data-platform:${component}`, node])),
            "kubernetes:context": {
              type: "string",
              description: "Context of the kubeconfig to deploy to. Prod demands it.",
            },
            "kubernetes:kubeconfig": { description: "A kubeconfig's path or contents." },
          },
          patternProperties: { "^data-platform:": false },
        },
      },
      $defs,
    },
    null,
    2,
  )}\n`;
}

/** `docs/configuration.md`: every key with its meaning and default. */
export function referencePage(): string {
  const { components } = blocks();
  const section = (title: string, lines: string[]) =>
    `## ${title}\n\n| key | value | default | meaning |\n|---|---|---|---|\n${lines.join("\n")}\n`;
  const sections = [
    ...components.map(([component, node]) => section(component, rows(component, node))),
    section("pods", rows("pods", podsOf(components))),
    section("accounts", rows("serviceAccount", accountOf(components))),
  ];
  return `# Configuration

Every key that a stack may set. A key is in \`Pulumi.<stack>.yaml\` under \`config\`, its first word after the
project's name:

\`\`\`yaml
config:
  data-platform:postgresql:
    storage:
      size: 20Gi
\`\`\`

or is set by \`pulumi config set --path data-platform:postgresql.storage.size 20Gi\`. An unknown key, a wrong value and
a password in plain text are refused before anything happens, all at once, each with what is valid.

- **A stack's name** has at most 30 lower-case letters, digits and dashes, with a letter or digit at both ends, and does not begin
  with \`kube\`: the names of namespaces, labels and CronJobs contain it.
- **Sizes and CPUs** take every form of a Kubernetes quantity: \`512Mi\`, \`1.5Gi\`, \`2G\`, \`1e9\`; \`250m\`, \`0.5\`. Software that counts in
  whole MiB gets them rounded down.
- **An image** is named with a tag that says what is in it: a version, a commit such as \`3f2a9c1\`, \`main-3f2a9c1\` or
  \`v1.2.3-4-g3f2a9c1\`, or a day. \`latest\` and other words that move are refused, unless a digest is beside them.
- **Names of Secrets, ConfigMaps and classes** are DNS subdomains, up to 253 characters with dots.

Pulumi's keys \`kubernetes:context\` and \`kubernetes:kubeconfig\` select the cluster. Without them dev and
test use the current context of the kubeconfig; prod refuses to.

\`npm run docs\` writes this page from \`config/schema.ts\`.

${sections.join("\n")}`;
}

/** The keys of `pods`, as one component has them. The default of `priority` differs by component. */
const podsOf = (components: [string, Node][]): Node => {
  const found = components.find(([key]) => key === "redis")?.[1].properties?.pods;
  if (!found) throw new Error("redis has no pods");
  const { roles: _, priority, ...properties } = found.properties ?? {};
  return { properties: { ...properties, priority: { ...priority, default: undefined } } };
};

/** The keys of `serviceAccount`, as the component has them that has the most. */
const accountOf = (components: [string, Node][]): Node => {
  const found = components.find(([key]) => key === "flink")?.[1].properties?.serviceAccount;
  if (!found) throw new Error("flink has no serviceAccount");
  return { properties: found.properties ?? {} };
};

function rows(path: string, node: Node): string[] {
  if (node.not) return [];
  if (node.section) return [`| \`${path}\` | see [${node.section}](#${node.section}) | | ${node.description ?? ""} |`];
  if (node.additionalProperties?.properties) return rows(`${path}.<name>`, node.additionalProperties);
  if (!node.properties)
    return [
      `| \`${path}\` | ${value(node)} | ${fallback(node)} | ${(node.description ?? "").replaceAll("|", "\\|")} |`,
    ];
  return Object.entries(node.properties).flatMap(([key, child]) => rows(`${path}.${key}`, child));
}

function value(node: Node): string {
  if (node.$ref) return "as in a pod";
  if (node.enum) return node.enum.join(", ");
  if (node.anyOf) return node.anyOf.map(value).join(" or ");
  if (node.type === "array") return `list of ${node.items?.type ?? "value"}s`;
  if (node.type === "integer" && node.maximum !== undefined && node.maximum < Number.MAX_SAFE_INTEGER)
    return `${node.minimum} to ${node.maximum}`;
  return [node.type ?? "any"].flat().join(" or ");
}

const fallback = ({ default: set }: Node) =>
  set === undefined ? "" : `\`${typeof set === "string" ? set : JSON.stringify(set)}\``;
