/** How a configuration file writes a setting. */
export interface Notation {
  /** Between name and value, such as `=`. */
  between: string;
  /** A value as the file has it. Default: as it is. */
  value?: (text: string) => string;
}

/**
 * A configuration file with the stack's settings: a line that sets one of them already is replaced, the others follow
 * at the end. Without settings the file does not change.
 */
export function withSettings(
  file: string,
  settings: Readonly<Record<string, string>>,
  { between, value = (text) => text }: Notation,
): string {
  const lines = file.split("\n");
  const added: string[] = [];
  for (const [name, text] of Object.entries(settings)) {
    const start = `${name}${between}`;
    const line = `${start}${value(text)}`;
    const found = lines.findIndex((one) => one.startsWith(start));
    if (found < 0) added.push(line);
    else lines[found] = line;
  }
  const merged = lines.join("\n");
  const before = merged && `${merged}\n# The stack's own settings.\n`;
  return added.length > 0 ? `${before}${added.join("\n")}\n` : merged;
}

/** Java properties, as Trino, Kafka and Quarkus read them. */
export const properties: Notation = { between: "=" };
