import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { UserError } from "../step.ts";

/** A package source, from either format. */
export interface AptSource {
  uri: string;
  suite: string;
  components: string[];
}

/** `deb [options] uri suite component…`, one a line. */
export function parseOneLine(text: string): AptSource[] {
  return text.split("\n").flatMap((line) => {
    const [, uri, suite, components] = /^\s*deb\s+(?:\[[^\]]*\]\s*)?(\S+)\s+(\S+)([^#]*)/.exec(line) ?? [];
    return uri && suite ? [{ uri, suite, components: words(components) }] : [];
  });
}

/** The deb822 form: paragraphs of `Field: value`, with continuation lines and comments between them. */
export function parseDeb822(text: string): AptSource[] {
  const paragraphs = text
    .split("\n")
    .filter((line) => !line.startsWith("#"))
    .join("\n")
    .split(/\n\s*\n/);
  return paragraphs.flatMap((paragraph) => {
    const fields = new Map<string, string>();
    for (const [, name, value] of paragraph.matchAll(/^([\w-]+):(.*(?:\n[ \t].*)*)/gm)) {
      if (name !== undefined && value !== undefined) fields.set(name.toLowerCase(), value);
    }
    const get = (name: string) => words(fields.get(name));
    if (!get("types").includes("deb") || /^\s*(no|false)\s*$/i.test(fields.get("enabled") ?? "")) return [];
    return get("uris").flatMap((uri) => get("suites").map((suite) => ({ uri, suite, components: get("components") })));
  });
}

/**
 * `sources.list` lines for `suite`, from the mirrors this machine is set up with for its own release.
 * A mirror of Debian, unlike other repositories, also has the `-updates` suite.
 */
export function debianSources(host: AptSource[], suite: string): string[] {
  const usable = host.filter((s) => s.components.includes("main") && !/ubuntu|^cdrom:|^file:/.test(s.uri));
  const serves = (uri: string, name: string) => usable.some((s) => s.uri === uri && s.suite === name);
  const archive =
    usable.find((s) => !s.suite.includes("-") && serves(s.uri, `${s.suite}-updates`)) ??
    usable.find((s) => !s.suite.includes("-") && /\/debian\/?$/.test(s.uri));
  if (!archive) {
    throw new UserError(
      "This machine's apt configuration has no Debian mirror (/etc/apt/sources.list, sources.list.d), and images are " +
        "made from Debian's packages. Add one, or use a machine that reaches an image registry (PLATFORM_IMAGES=pull).",
    );
  }
  const security = usable.find((s) => s.suite.endsWith("-security"));
  const lines = [`${archive.uri} ${suite} main`, `${archive.uri} ${suite}-updates main`];
  if (security) lines.push(`${security.uri} ${suite}-security main`);
  return lines.map((line) => `deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${line}`);
}

/** The sources that apt on this machine is configured with. */
export function hostSources(etc = "/etc/apt"): AptSource[] {
  const folder = join(etc, "sources.list.d");
  const files = existsSync(folder) ? readdirSync(folder).map((file) => join(folder, file)) : [];
  return [join(etc, "sources.list"), ...files.sort()]
    .filter((file) => /\.(list|sources)$/.test(file) && existsSync(file))
    .flatMap((file) => {
      const text = readFileSync(file, "utf8");
      return file.endsWith(".sources") ? parseDeb822(text) : parseOneLine(text);
    })
    .map((source) => ({ ...source, uri: resolveMirrorList(source.uri) }));
}

/** Cloud images have a list of mirrors (`mirror+file:/etc/apt/mirrors/debian.list`): takes its first, since an image lacks the file. */
function resolveMirrorList(uri: string): string {
  const [, file] = /^mirror\+file:(?:\/\/)?(\/.*)$/.exec(uri) ?? [];
  if (!file || !existsSync(file)) return uri;
  const first = readFileSync(file, "utf8")
    .split("\n")
    .find((line) => /^\w+:/.test(line));
  return words(first)[0] ?? uri;
}

const words = (text = ""): string[] => text.split(/\s+/).filter(Boolean);
