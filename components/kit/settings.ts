import { byName, derived } from "../../config/derived.ts";

/** How a configuration file writes a setting. */
export interface Notation {
  /** Between name and value, such as `=`. */
  between: string;
  /** Quotes around a value, of which those inside are doubled, or which make it JSON. Default: none, it is as it is. */
  quotes?: "doubled" | "json";
}

/**
 * A configuration file with the stack's settings, in the order of their names: a line that sets one of them already is
 * replaced, the others follow at the end. Without settings the file does not change.
 */
export const withSettings = (
  file: string,
  settings: Readonly<Record<string, string>>,
  { between, quotes }: Notation,
): string => (Object.keys(settings).length > 0 ? merged(file, settings, between, quotes ?? "") : file);

const merged = derived(
  "withSettings",
  (file: string, settings: Readonly<Record<string, string>>, between: string, quotes: string): string => {
    const lines = file.split("\n");
    const added: string[] = [];
    for (const [name, text] of byName(settings)) {
      const start = `${name}${between}`;
      const line = `${start}${quoted(text, quotes)}`;
      const found = lines.findIndex((one) => one.startsWith(start));
      if (found < 0) added.push(line);
      else lines[found] = line;
    }
    const all = lines.join("\n");
    const before = all && `${all}\n# The stack's own settings.\n`;
    return added.length > 0 ? `${before}${added.join("\n")}\n` : all;
  },
);

function quoted(text: string, quotes: string): string {
  if (quotes === "json") return JSON.stringify(text);
  return quotes === "doubled" ? `'${text.replaceAll("'", "''")}'` : text;
}

/** Java properties, as Trino, Kafka and Quarkus read them. */
export const properties: Notation = { between: "=" };
