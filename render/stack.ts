import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { parse, YAMLParseError } from "yaml";
import { ConfigError } from "../config/errors.ts";
import type { Evaluation } from "./evaluate.ts";

export { ConfigError };

/** A stack's configuration as its file has it. */
export interface StackFile {
  stack: string;
  project: string;
  /** Where it was read from. */
  path: string;
  config: Record<string, unknown>;
  /** Dotted paths of values that are encrypted: only the Pulumi engine, which has the key, can read them. */
  encrypted: string[];
}

/** The stacks that a checkout has a file for. */
export const stackNames = (root: string): string[] =>
  readdirSync(root)
    .flatMap((file) => /^Pulumi\.([\w.-]+)\.yaml$/.exec(file)?.[1] ?? [])
    .sort();

/** Reads `Pulumi.<stack>.yaml`, or `configFile` instead. */
export function readStack(root: string, stack: string, configFile?: string): StackFile {
  const known = stackNames(root);
  if (!configFile && !known.includes(stack))
    throw new ConfigError(
      `stack ${stack}: there is no Pulumi.${stack}.yaml; stacks here: ${known.join(", ") || "none"}`,
    );
  const project = (read(join(root, "Pulumi.yaml")) as { name?: string } | null)?.name ?? "data-platform";
  const path = configFile ?? join(root, `Pulumi.${stack}.yaml`);
  const file = configFile ?? `Pulumi.${stack}.yaml`;
  const { config = {} } = (read(path, file) ?? {}) as { config?: Record<string, unknown> };
  if (config === null || typeof config !== "object" || Array.isArray(config))
    throw new ConfigError(`${file}: config: found ${JSON.stringify(config)}; expected keys and values`);
  // Pulumi treats a key without a namespace as the project's.
  const full = Object.entries(config).map(([key, value]) => [key.includes(":") ? key : `${project}:${key}`, value]);
  const encrypted: string[] = [];
  for (const [key, value] of full) findEncrypted(value, key as string, encrypted);
  return { stack, project, path, config: Object.fromEntries(full), encrypted };
}

function read(path: string, name = basename(path)): unknown {
  try {
    return parse(readFileSync(path, "utf8"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") throw new ConfigError(`${name}: there is no such file`);
    // The first line has the error and its position; the rest quotes the file, which may contain secrets.
    if (error instanceof YAMLParseError) {
      const [line = ""] = error.message.split("\n");
      throw new ConfigError(`${name}: ${line.replace(/:$/, "")}`);
    }
    throw error;
  }
}

const isEncrypted = (value: unknown): value is { secure: unknown } =>
  value !== null && typeof value === "object" && Object.keys(value).join() === "secure";

function findEncrypted(value: unknown, path: string, found: string[]): void {
  if (isEncrypted(value)) found.push(path);
  else if (value !== null && typeof value === "object")
    for (const [key, item] of Object.entries(value)) findEncrypted(item, `${path}.${key}`, found);
}

/** The configuration with a placeholder for each encrypted value: to show, never to deploy. */
export function redactEncrypted(file: StackFile): StackFile {
  const redact = (value: unknown, path: string): unknown => {
    if (isEncrypted(value)) return `REDACTED-${path.replace(/[^A-Za-z0-9]+/g, "-")}`;
    if (Array.isArray(value)) return value.map((item, i) => redact(item, `${path}.${i}`));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, redact(item, path ? `${path}.${key}` : key)]),
    );
  };
  return { ...file, config: redact(file.config, "") as Record<string, unknown> };
}

/** Refuses a program with Helm charts: without an engine to expand them, their objects would be missing. */
export function refuseCharts({ stack, resources }: Evaluation, instead: string): void {
  const charts = resources.filter(({ type }) => type === chartType).map(({ name }) => name);
  if (charts.length > 0)
    throw new ConfigError(
      `stack ${stack}: ${charts.join(", ")}: found a Helm chart, which only the Pulumi engine can expand; ${instead}`,
    );
}

/** The resource type of a Helm chart. */
export const chartType = "kubernetes:helm.sh/v4:Chart";

/** Refuses a stack with encrypted values, which only an engine can read. */
export function refuseEncrypted({ stack, encrypted }: StackFile, instead: string): void {
  if (encrypted.length > 0)
    throw new ConfigError(
      `stack ${stack}: ${encrypted.join(", ")}: found an encrypted value, which only the Pulumi engine can read; ${instead}`,
    );
}
