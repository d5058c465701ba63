const characters = new Intl.Segmenter("en", { granularity: "grapheme" });

/** The beginning of a text, at most `length` UTF-16 units of it. Ends between two characters as people see them. */
export const beginning = (text: string, length: number): string =>
  text.length <= length ? text : text.slice(0, characters.segment(text).containing(length)?.index);

/**
 * The end of a text, at most `length` UTF-16 units of it. Begins with a line, or with a character if no line begins
 * there.
 */
export function ending(text: string, length: number): string {
  if (text.length <= length) return text;
  const start = text.length - length;
  const line = text.indexOf("\n", start - 1) + 1;
  if (line > 0 && line < text.length) return text.slice(line);
  const at = characters.segment(text).containing(start);
  return at ? text.slice(at.index === start ? start : at.index + at.segment.length) : "";
}

/** A fence that is longer than any run of backticks in what it encloses. */
export const fenceFor = (text: string): string =>
  "`".repeat(Math.max(3, ...[...text.matchAll(/`+/g)].map(([run]) => run.length + 1)));

/** How much of `room` each text gets: what shorter ones leave goes to the longer ones. */
export function shares(lengths: number[], room: number): number[] {
  const given = lengths.map(() => 0);
  let left = Math.max(0, room);
  const ascending = [...lengths.entries()].sort(([, a], [, b]) => a - b);
  for (const [done, [i, length]] of ascending.entries()) {
    given[i] = Math.min(length, Math.floor(left / (ascending.length - done)));
    left -= given[i] ?? 0;
  }
  return given;
}
