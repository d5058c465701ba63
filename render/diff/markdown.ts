import type { KubernetesObject } from "../../policy/rules/index.ts";
import { type Totals, totals } from "../../policy/rules/whole.ts";
import { type Change, compare, type Fate, fates } from "./compare.ts";
import { changeLines } from "./fields.ts";
import { type ImageChange, imageChanges } from "./images.ts";
import { type Risk, risks } from "./risks.ts";
import { beginning, fenceFor, shares } from "./text.ts";

/** One stack at two revisions, or why there is nothing to compare. */
export type Compared = { stack: string } & (
  | { before: KubernetesObject[]; after: KubernetesObject[] }
  | { problem: string }
);

/** Maximum of lines of one object's differences: the files have the rest. */
const longest = 120;

/**
 * The differences of all stacks as Markdown for a reviewer: dangerous changes first, details last. To keep `maxLength`,
 * in UTF-16 units, whole blocks are left out: objects' differences, the longest first, then the last block of the
 * longest section. Each stack keeps its title and its error.
 */
export function markdown(base: string, all: Compared[], maxLength = Number.POSITIVE_INFINITY): string {
  const stacks = all.map((one) => ({
    ...one,
    groups: "problem" in one ? [] : grouped(compare(one.before, one.after)),
  }));
  const sections = () => stacks.map((one) => section(base, one, one.groups));
  const bulky = stacks.flatMap(({ groups }) => groups).sort((a, b) => b.body.length - a.body.length);
  let page = joined(sections());
  for (const group of bulky) {
    if (page.length <= maxLength) return page;
    group.body = [];
    page = joined(sections());
  }
  return page.length <= maxLength ? page : joined(shortened(sections(), maxLength));
}

const gap = "\n\n";
/** The page of sections, each of which is a list of blocks. */
const joined = (sections: string[][]) => `${sections.map((blocks) => blocks.join(gap)).join(gap)}\n`;
const rest = "…the rest is too long to be shown here.";

/** The sections without blocks from their ends, so that the page is no longer than `maxLength`. The first blocks stay. */
function shortened(sections: string[][], maxLength: number): string[][] {
  const left = sections.map(([title = "", ...blocks]) => ({ title, blocks, length: joined([blocks]).length }));
  const cut = new Set<(typeof left)[number]>();
  const page = () => left.map((one) => [one.title, ...one.blocks, ...(cut.has(one) ? [rest] : [])]);
  let length = joined(page()).length;
  while (length > maxLength) {
    const longest = left.reduce((a, b) => (b.length > a.length ? b : a));
    const dropped = longest.blocks.pop();
    if (dropped === undefined) break;
    longest.length -= dropped.length + gap.length;
    length -= dropped.length + gap.length;
    if (!cut.has(longest)) length += rest.length + gap.length;
    cut.add(longest);
  }
  if (length <= maxLength) return page();
  // Nothing but titles and errors, and too many of them.
  const each = rest.length + 2 * gap.length;
  const room = shares(
    left.map(({ title }) => title.length),
    maxLength - left.length * each,
  );
  return left.map(({ title }, i) => {
    const shown = beginning(title, room[i] ?? 0);
    return shown === title ? [title] : [shown, rest];
  });
}

/** Changes of the same fate with the same text, such as a new label on every object of a component. */
interface Group {
  fate: Fate;
  changes: Change[];
  body: string[];
}

function grouped(changes: Change[]): Group[] {
  const groups = new Map<string, Group>();
  for (const change of changes) {
    const body = lines(change);
    const key = ["changed", "removed"].includes(change.fate) ? change.fate + body.join("\n") : change.title;
    const group = groups.get(key) ?? { fate: change.fate, changes: [], body };
    group.changes.push(change);
    groups.set(key, group);
  }
  return [...groups.values()];
}

function lines({ fate, fields }: Change): string[] {
  // A removed object needs no details.
  if (fate === "removed") return [];
  const all = fields.flatMap((field) => [...(field.path ? [`@@ ${field.path} @@`] : []), ...changeLines(field)]);
  return all.length > longest ? [...all.slice(0, longest), `  … and ${all.length - longest} lines more`] : all;
}

/** A stack's blocks, of which each can be left out without breaking another. The first says the most. */
function section(base: string, compared: Compared, groups: Group[]): string[] {
  const { stack } = compared;
  if ("problem" in compared) return [`## Stack \`${stack}\`\n\nNothing to compare: ${compared.problem}.`];
  const changes = groups.flatMap((group) => group.changes);
  if (changes.length === 0) return [`## Stack \`${stack}\`\n\nNothing changes against \`${base}\`.`];
  const { data, rotations } = risks(changes, compared.after);
  const counted = fates.flatMap((fate) => count(changes, fate) || []);
  return [
    `## Stack \`${stack}\`: ${counted.join(", ")}`,
    alert("CAUTION", "Data is at stake", data),
    alert("WARNING", "New passwords or keys: external clients need the new ones", rotations),
    counts(changes),
    images(imageChanges(changes, compared.before, compared.after)),
    ...groups.map((group, i) => `${i === 0 ? `### Objects${gap}` : ""}${details(group)}`),
    requests(base, compared.before, compared.after),
  ].filter((block) => typeof block === "string");
}

const count = (changes: Change[], fate: Fate): string | undefined => {
  const number = changes.filter((change) => change.fate === fate).length;
  return number > 0 ? `${number} ${fate === "runs again" && number > 1 ? "run again" : fate}` : undefined;
};

const alert = (level: string, title: string, found: Risk[]) =>
  found.length > 0 &&
  [`> [!${level}]`, `> **${title}**`, ">", ...found.map((risk) => `> - \`${risk.title}\` ${risk.says}`)].join("\n");

const table = (head: string[], rows: (string | number)[][]) =>
  [head, head.map((_, i) => (i > 0 && rows.every((row) => typeof row[i] === "number") ? "--:" : "---")), ...rows]
    .map((row) => `| ${row.map((cell) => String(cell || "").replaceAll("|", "\\|")).join(" | ")} |`)
    .join("\n");

function counts(changes: Change[]): string {
  const kinds = [...new Set(changes.map(({ kind }) => kind))].sort();
  return table(
    ["", ...fates],
    kinds.map((kind) => [
      kind,
      ...fates.map((fate) => changes.filter((change) => change.kind === kind && change.fate === fate).length),
    ]),
  );
}

function images(changes: ImageChange[]): string | undefined {
  const code = (image: string | undefined) => (image ? `\`${image}\`` : "none");
  const rows = changes.map(({ before, after, usedBy }) => [
    code(before),
    code(after),
    usedBy.map((title) => `\`${title}\``).join(", "),
  ]);
  return rows.length > 0 ? `### Images\n\n${table(["before", "after", "of"], rows)}` : undefined;
}

function details({ fate, changes, body }: Group): string {
  const names = changes.map(({ title }) => `<code>${html(title)}</code>`).join(", ");
  const summary = `${fate}: ${names}`;
  if (body.length === 0) {
    const why = fate === "removed" ? "" : " (too long to be shown here)";
    return `<p>${summary}${why}</p>`;
  }
  const fence = fenceFor(body.join("\n"));
  return `<details><summary>${summary}</summary>\n\n${fence}diff\n${body.join("\n")}\n${fence}\n\n</details>`;
}

const html = (text: string) => text.replace(/[&<>]/g, (char) => `&#${char.charCodeAt(0)};`);

function requests(base: string, before: KubernetesObject[], after: KubernetesObject[]): string {
  let old: Totals;
  let fresh: Totals;
  try {
    [old, fresh] = [totals(before), totals(after)];
  } catch {
    // The rule `bounded` of policy/rules names the container.
    return "### Requests\n\nThey cannot be added up: a container states none.";
  }
  const row = (title: string, key: keyof Totals, show: (value: number) => string) => [
    title,
    show(old[key]),
    show(fresh[key]),
    difference(fresh[key] - old[key], show),
  ];
  return `### Requests\n\n${table(
    ["", `\`${base}\``, "after", "difference"],
    [row("CPU", "cpu", cores), row("Memory", "memory", gibibytes), row("Disk", "storage", gibibytes)],
  )}`;
}

const difference = (by: number, show: (value: number) => string) =>
  by === 0 ? "none" : `**${by > 0 ? "+" : "−"}${show(Math.abs(by))}**`;
export const cores = (millicores: number) => `${millicores / 1000}`;
export const gibibytes = (bytes: number) => `${Math.round((bytes / 2 ** 30) * 100) / 100} GiB`;
