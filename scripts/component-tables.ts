import type { Definition } from "../components/kit/definition.ts";
import { componentOf, registry } from "../components/registry.ts";
import { isFixedTag, tagOf } from "../config/images.ts";
import { parseConfig } from "../config/problems.ts";
import { mebibytes } from "../config/quantity.ts";
import type { KubernetesObject } from "../policy/rules/index.ts";
import { totals } from "../policy/rules/whole.ts";
import { type Evaluated, evaluated, stacks } from "../test/program/stacks.ts";

/*
 * The documentation's tables of components, from the registry and the rendered stacks. `npm run docs` writes them;
 * test/program/component-tables.test.ts compares.
 */

const monitored = "monitoring: { enabled: true }";
const components = Object.entries<Definition>(registry);
const code = (text: string) => `\`${text}\``;
const linked = ({ title, page }: Definition) => `[${title}](${page})`;
const titles = (keys: readonly string[]) =>
  keys.map((key) => components.find(([one]) => one === key)?.[1].title ?? key).join(", ");

const table = (columns: string[], rows: string[][]): string =>
  [columns, columns.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");

/** The objects of a component among those of a stack. */
const objectsOf = (objects: KubernetesObject[], key: string) =>
  objects.filter(({ metadata }) => componentOf(metadata.labels?.["app.kubernetes.io/name"] ?? "") === key);

/** A namespace by its key: `core` for `test-core`. */
const namespaceKey = (stack: string, namespace = "") => namespace.replace(`${stack}-`, "");

const graph = () =>
  table(
    ["component", "for", "key", "namespace", "needs", "uses, if installed"],
    components.map(([key, one]) => [
      linked(one),
      one.summary,
      code(key),
      code(one.namespace),
      titles(Object.keys(one.needs)),
      titles(one.uses),
    ]),
  );

const isImage = (text: string) => isFixedTag(tagOf(text));

/** Keys whose default is an image, in a component's block. */
export function imageKeys(path: string, value: unknown): [key: string, image: string][] {
  if (typeof value === "string") return isImage(value) ? [[path, value]] : [];
  if (value === null || typeof value !== "object" || Array.isArray(value)) return [];
  return Object.entries(value).flatMap(([key, child]) => imageKeys(`${path}.${key}`, child));
}

function imageTable(): string {
  const config: Record<string, unknown> = parseConfig("docs", {});
  const rows = components.flatMap(([key, { title }]) =>
    imageKeys(key, config[key]).map(([path, image]) => [title, code(path), code(image)]),
  );
  return table(["component", "key", "image"], rows);
}

async function services(): Promise<string> {
  const { objects } = await evaluated("test", { changes: monitored });
  const rows = components.flatMap(([key, { title }]) =>
    objectsOf(objects, key)
      .filter(({ kind }) => kind === "Service")
      .map(({ metadata, spec }) => [
        title,
        code(metadata.name),
        code(namespaceKey("test", metadata.namespace)),
        spec.ports.map(({ name, port }: { name: string; port: number }) => `${name} ${port}`).join(", "),
      ]),
  );
  return table(["component", "Service", "namespace", "ports"], rows);
}

async function requests(): Promise<string> {
  const all: Evaluated[] = [];
  // One after another: Pulumi's SDK records resources in global state.
  for (const stack of stacks) all.push(await evaluated(stack, { changes: stack === "dev" ? undefined : monitored }));
  const installed = components.filter(([key]) => all.some(({ objects }) => objectsOf(objects, key).length > 0));
  const rows = installed.map(([key, { title }]) => [
    title,
    ...all.map(({ objects }) => {
      const own = objectsOf(objects, key);
      const { cpu, memory, storage } = totals(own);
      const disk = storage ? `, ${mebibytes(storage) / 1024} GiB disk` : "";
      return own.length ? `${cpu / 1000} CPU, ${mebibytes(memory)} MiB${disk}` : "";
    }),
  ]);
  return table(["component", ...stacks], rows);
}

/** The Secrets that the stack test creates, with monitoring. */
export async function secretTable(): Promise<string> {
  const { objects } = await evaluated("test", { changes: monitored });
  const rows = components.flatMap(([key, { title }]) => {
    const found = new Map<string, { namespaces: string[]; keys: string[] }>();
    for (const { kind, metadata, stringData } of objectsOf(objects, key)) {
      if (kind !== "Secret") continue;
      const keys = Object.keys(stringData ?? {}).sort();
      const namespaces = [...(found.get(metadata.name)?.namespaces ?? []), namespaceKey("test", metadata.namespace)];
      found.set(metadata.name, { namespaces: namespaces.sort(), keys });
    }
    return [...found]
      .sort()
      .map(([name, { namespaces, keys }]) => [
        title,
        code(name.replace("app-test-", "app-<environment>-")),
        keys.map(code).join(", "),
        namespaces.map(code).join(", "),
      ]);
  });
  return table(["component", "Secret", "keys", "namespaces"], rows);
}

/** `docs/components.md`. */
export const componentsPage = async (): Promise<string> => `# Components

Every component, what it needs, its images, Services and requests. \`<key>.enabled\` in a stack's file installs it or leaves it out;
[configuration](configuration.md) has all keys, [secrets](secrets.md) the Secrets.

\`npm run docs\` writes this page from \`components/registry.ts\` and the rendered stacks.

## What needs what

A stack that enables a component without one that it needs is refused. \`needs\` is required; \`uses\` is connected if it is installed.

${graph()}

## Images

The defaults. \`global.imageRegistry\` takes all of them from a mirror; \`./platform images build-commands\` prints how to build and push those that no registry has.

${imageTable()}

## Services

As the stack test has them, with monitoring.

${await services()}

## Requests

What the pods of a component request together, with the largest of its Jobs, and its volumes. In test and prod with monitoring.
CloudNativePG's operator comes from its chart and is not in the table.

${await requests()}
`;

const [begin, end] = ["<!-- Secrets: written by npm run docs -->", "<!-- end -->"];

/** `docs/secrets.md` with its table of Secrets written again. */
export async function secretsPage(page: string): Promise<string> {
  const [before, rest] = page.split(begin);
  const [, after] = rest?.split(end) ?? [];
  if (before === undefined || after === undefined)
    throw new Error(`docs/secrets.md: expected a line ${begin} and, below it, a line ${end}`);
  const from = "As the stack test has them, with monitoring. A database of your own adds `postgresql-user-<database>`.";
  return `${before}${begin}\n\n${from}\n\n${await secretTable()}\n\n${end}${after}`;
}
