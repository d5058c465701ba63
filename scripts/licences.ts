import { componentImages, findDefinition } from "../components/images.ts";
import type { Software } from "../components/kit/image.ts";
import { grafana } from "../components/monitoring/images.ts";
import { parseConfig } from "../config/problems.ts";
import { imageKeys } from "./component-tables.ts";

/** The software of an image; undefined if nobody has written it down. */
export const softwareOf = (reference: string): readonly Software[] | undefined =>
  findDefinition(reference, [...componentImages, grafana])?.software;

/** Licences that ask for the source of changes, or limit what a service may offer. */
export const isCopyleft = (licence: string): boolean => /GPL|SSPL|RSAL|MPL|EPL/.test(licence);

/** What each asks for, in short. The text of the licence decides. */
const meanings: [of: RegExp, meaning: string][] = [
  [/^AGPL.*(SSPL|RSAL)/, "your choice of the three; the first as for MinIO"],
  [/^AGPL/, "if you change it and let others use it over a network, offer them the source"],
  [/^LGPL/, "if you pass it on, offer its source; software that uses it keeps its own licence"],
  [/^GPL/, "if you pass it on, changed or not, offer its source"],
];
const meaningOf = (licence: string) => meanings.find(([of]) => of.test(licence))?.[1] ?? "see its text";

const table = (columns: string[], rows: string[][]): string =>
  [columns, columns.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");

/** The default images of all components, each once. */
export const defaultImages = (): string[] => [
  ...new Set(
    Object.entries(parseConfig("docs", {})).flatMap(([key, block]) => imageKeys(key, block).map(([, image]) => image)),
  ),
];

/** `docs/licences.md`. */
export function licencesPage(): string {
  const images = defaultImages().sort();
  const rows = images.flatMap((image) => (softwareOf(image) ?? []).map((software) => ({ image, ...software })));
  const copyleft = new Map<string, { licence: string; images: string[] }>();
  for (const { name, licence, image } of rows.filter((row) => isCopyleft(row.licence))) {
    const known = copyleft.get(name) ?? { licence, images: [] };
    copyleft.set(name, { licence, images: [...known.images, `\`${image}\``] });
  }
  return `# Licences

Under which licence the software of the default images is. Copied from what each package or repository states, as the last column says; it is no legal advice.

\`npm run docs\` writes this page from \`software\` in \`components/*/images.ts\`.

## What asks for more than a notice

The platform runs all of it unchanged, and passes none of it on: the images come from their registries. If you pass images on to others, or change the software, these duties are yours:

${table(
  ["software", "licence", "what it asks for", "in"],
  [...copyleft].map(([name, of]) => [name, of.licence, meaningOf(of.licence), of.images.join(", ")]),
)}

Base images add Debian's packages, busybox (GPL-2.0-only), and OpenJDK (GPL-2.0-only WITH Classpath-exception-2.0): each image has its packages' licences in \`/usr/share/doc/*/copyright\` or \`/licenses\`.
Libraries inside the programs have licences of their own; a scanner of software bills of materials lists them.

Without the AGPL: \`monitoring.grafana.enabled: false\` leaves Grafana out; a Valkey image (BSD-3-Clause) as \`redis.image\` may work, and is untested; for MinIO there is no replacement yet.

## By image

${table(
  ["image", "software", "licence", "stated by"],
  rows.map(({ image, name, licence, source }) => [`\`${image}\``, name, licence, source]),
)}

This repository is under Apache-2.0, and so are its applications.
`;
}
