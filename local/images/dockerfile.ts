import { lstatSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Copy, DockerfileParser, type From, type Instruction, type ModifiableInstruction } from "dockerfile-ast";
import { lt } from "semver";

type Range = ReturnType<Instruction["getRange"]>;

/** One instruction of a Dockerfile. Lines are counted from 0. */
interface Step {
  keyword: string;
  first: number;
  last: number;
  flags: { name: string; value: string }[];
  /** The arguments after the flags, with the defaults of ARGs filled in. */
  words: string[];
  /** Whether it has a here-document. */
  heredoc: boolean;
}

const stepsOf = (dockerfile: string): Step[] =>
  DockerfileParser.parse(dockerfile)
    .getInstructions()
    .map((instruction) => ({
      keyword: instruction.getKeyword(),
      first: instruction.getRange().start.line,
      last: instruction.getRange().end.line,
      flags: flagsOf(instruction),
      words: instruction.getExpandedArguments().map((word) => word.getValue()),
      heredoc: "getHeredocs" in instruction && (instruction as Copy).getHeredocs().length > 0,
    }));

const flagsOf = (instruction: Instruction) =>
  "getFlags" in instruction
    ? (instruction as ModifiableInstruction)
        .getFlags()
        .map((flag) => ({ name: flag.getName().toLowerCase(), value: flag.getValue() ?? "" }))
    : [];

/** A Dockerfile's text without a byte order mark, and with Unix line endings. */
export const readDockerfile = (path: string): string =>
  readFileSync(path, "utf8")
    .replace(/^\uFEFF/, "")
    .replaceAll("\r\n", "\n");

/** Fills in the defaults of a Dockerfile's ARGs. */
function expander(steps: Step[]): (word: string) => string {
  const args = new Map(
    steps
      .filter(({ keyword }) => keyword === "ARG")
      .flatMap(({ words }) => words.map((word) => /^(\w+)=["']?([^"']*)/.exec(word)))
      .flatMap((found) => (found ? [[found[1], found[2] ?? ""] as const] : [])),
  );
  return (word) =>
    word.replace(/\$\{?(\w+)(?::-([^}]*))?\}?/g, (whole, name, other) => args.get(name) ?? other ?? whole);
}

/**
 * The images a Dockerfile builds upon: `FROM` and `COPY --from`, without `scratch` and its own stages.
 * An `ARG` counts with its default.
 */
export function imagesUnder(dockerfile: string): string[] {
  const steps = stepsOf(dockerfile);
  const expand = expander(steps);
  const stages = new Set<string>(["scratch"]);
  const found = new Set<string>();
  for (const { keyword, flags, words } of steps) {
    const named =
      keyword === "FROM" ? words[0] : keyword === "COPY" && flags.find(({ name }) => name === "from")?.value;
    const image = named && expand(named);
    if (image && !stages.has(image.toLowerCase()) && !/^\d+$/.test(image)) found.add(image);
    if (keyword === "FROM" && words[1]?.toUpperCase() === "AS" && words[2]) stages.add(words[2].toLowerCase());
  }
  return [...found];
}

/** The Dockerfile with a line after each of its `FROM`s. */
export function afterEachFrom(dockerfile: string, line: string): string {
  const lines = dockerfile.replace(/\n?$/, "\n").split("\n");
  for (const { last } of stepsOf(dockerfile)
    .filter(({ keyword }) => keyword === "FROM")
    .reverse())
    lines.splice(last + 1, 0, line);
  return lines.join("\n");
}

/**
 * The Dockerfile with another name for each of the images it builds upon that `names` has, and with `flag`
 * in each `RUN`.
 */
export function rewritten(dockerfile: string, names: Map<string, string>, flag?: string): string {
  const lines = dockerfile.split("\n");
  const put = (range: Range, text: string) => {
    const line = lines[range.start.line] ?? "";
    lines[range.start.line] = line.slice(0, range.start.character) + text + line.slice(range.end.character);
  };
  const expand = expander(stepsOf(dockerfile));
  for (const instruction of DockerfileParser.parse(dockerfile).getInstructions()) {
    const keyword = instruction.getKeyword();
    if (flag && keyword === "RUN") put(instruction.getInstructionRange(), `RUN ${flag}`);
    const flags = keyword === "COPY" ? (instruction as Copy).getFlags() : [];
    const from = flags.find((one) => one.getName().toLowerCase() === "from");
    const range = keyword === "FROM" ? (instruction as From).getImageRange() : from?.getValueRange();
    const image = keyword === "FROM" ? (instruction as From).getImage() : from?.getValue();
    const name = image && names.get(expand(image));
    if (range && name) put(range, name);
  }
  return lines.join("\n");
}

const keywords =
  /^(ADD|ARG|CMD|COPY|ENTRYPOINT|ENV|EXPOSE|FROM|HEALTHCHECK|LABEL|MAINTAINER|ONBUILD|RUN|SHELL|STOPSIGNAL|USER|VOLUME|WORKDIR)$/;

/**
 * Instructions that need a newer builder, with the first version that supports them: of buildah by its changelog, of
 * BuildKit's Dockerfile syntax by its reference. No version of buildah supports those without one.
 */
const features: { what: string; buildah?: string; syntax: string; used: (step: Step) => boolean }[] = [
  { what: "a here-document", buildah: "1.33.0", syntax: "1.4", used: ({ heredoc }) => heredoc },
  ...(
    [
      ["ADD", "checksum", "1.33.0", "1.6"],
      ["ADD", "exclude", "1.38.0", "1.19"],
      ["COPY", "exclude", "1.38.0", "1.19"],
      ["COPY", "parents", "1.40.0", "1.20"],
      ["ADD", "link", "1.41.0", "1.4"],
      ["COPY", "link", "1.41.0", "1.4"],
      ["RUN", "security", undefined, "1.20"],
    ] as const
  ).map(([keyword, flag, buildah, syntax]) => ({
    what: `${keyword} --${flag}`,
    buildah,
    syntax,
    used: (step: Step) => step.keyword === keyword && step.flags.some(({ name }) => name === flag),
  })),
];

export interface DockerfileCheck {
  /** Why it cannot be built, a sentence each. */
  problems: string[];
  /** What the builder must support, if its version is unknown. */
  notes: string[];
}

/**
 * Checks a Dockerfile without building it: it has instructions, `builder` (a version of buildah) supports them, and the
 * files that it copies are in the context. Without a `builder`, what the builder must support becomes a note.
 */
export function checkDockerfile(dockerfile: string, context: string, builder?: string): DockerfileCheck {
  const problems: string[] = [];
  const notes: string[] = [];
  const steps = stepsOf(dockerfile);
  const first = steps.find(({ keyword }) => keyword !== "ARG");
  if (first?.keyword !== "FROM") {
    const found = first ? `${first.keyword} in line ${first.first + 1}` : "no instruction";
    problems.push(`found ${found}; expected FROM before any other instruction but ARG`);
  }
  for (const step of steps) {
    const line = `line ${step.first + 1}`;
    if (!keywords.test(step.keyword))
      problems.push(`${line}: found ${step.keyword}; expected an instruction such as RUN`);
    for (const { what, buildah, syntax } of features.filter(({ used }) => used(step))) {
      const needs = buildah ? `buildah ${buildah} or newer` : "Docker, since no version of buildah knows it";
      const sentence = `${line}: ${what} needs ${needs} (with Docker: Dockerfile syntax ${syntax})`;
      if (builder === undefined && buildah) notes.push(sentence);
      else if (!buildah || lt(builder ?? "0.0.0", buildah))
        problems.push(`${sentence}; found buildah ${builder ?? "of an unknown version"}`);
    }
    for (const source of sourcesOf(step))
      if (!lstatSync(join(context, join("/", source)), { throwIfNoEntry: false }))
        problems.push(`${line}: ${step.keyword} ${source}: there is no such file in the build context`);
  }
  return { problems, notes };
}

/** The files of the context that a step copies by name: no patterns, variables, URLs or here-documents. */
function sourcesOf({ keyword, flags, words, heredoc }: Step): string[] {
  if (!["COPY", "ADD"].includes(keyword) || heredoc || flags.some(({ name }) => name === "from")) return [];
  return listed(words)
    .slice(0, -1)
    .filter((source) => !/[*?[\]$\\]|^(https?|git|ssh):|^git@/.test(source));
}

/** The arguments, also in JSON form. */
function listed(words: string[]): string[] {
  if (!words[0]?.startsWith("[")) return words;
  try {
    return JSON.parse(words.join(" "));
  } catch {
    return [];
  }
}
