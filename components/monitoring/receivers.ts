import { z } from "zod";
import { passwordInside, secretSetting } from "../../config/settings.ts";
import type { Outside } from "../kit/network.ts";

/*
 * Alertmanager's own configuration: what the platform checks in it, and what it reads from it. Pure functions.
 */

/** Alertmanager's configuration in its own form. Alertmanager checks the rest when it starts. */
export type AlertmanagerConfig = Record<string, unknown>;

/** Where Alertmanager finds keys of Secrets: `<folder>/<Secret>/<key>`. */
export const secretFolder = "/etc/alertmanager/secrets";

const secretFile = new RegExp(`^${secretFolder}/([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?)/([-._A-Za-z0-9]{1,253})$`);
const fileExpected = `${secretFolder}/SECRET/KEY, with a Secret of the component's namespace and one of its keys`;

/** A value inside the configuration. */
interface Leaf {
  path: (string | number)[];
  value: unknown;
}

const isMapping = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const leaves = (value: unknown, path: Leaf["path"] = []): Leaf[] => {
  if (Array.isArray(value)) return value.flatMap((item, index) => leaves(item, [...path, index]));
  if (isMapping(value)) return Object.entries(value).flatMap(([key, inner]) => leaves(inner, [...path, key]));
  return [{ path, value }];
};

/** The name of the key that a value belongs to: of an item, the list's. */
const keyOf = ({ path }: Leaf): string => String(path.filter((key) => typeof key === "string").at(-1) ?? "");

/** Whether a value is a file that Alertmanager reads. */
const isFile = (leaf: Leaf): boolean =>
  /_file$/.test(keyOf(leaf)) ||
  leaf.path[0] === "templates" ||
  (keyOf(leaf) === "files" && leaf.path.includes("http_headers"));

/** Keys with a password in them whose names do not say so. A webhook of Slack and the like is its own password. */
const secretKey =
  /^(service_key|routing_key|user_key|token_id|webhook_url|slack_api_url|rocketchat_token_id|client_certificate_key|secrets)$/;
/** Alertmanager reads these from no file. */
const withoutFile = /^(access_key|secret_key)$/;

const isSecret = (leaf: Leaf): boolean => {
  const key = keyOf(leaf);
  return (
    secretSetting.test(key) ||
    secretKey.test(key) ||
    (key === "api_url" && leaf.path.includes("slack_configs")) ||
    (key === "key" && leaf.path.includes("tls_config"))
  );
};

const insteadOf = (key: string): string => {
  if (withoutFile.test(key)) return "Alertmanager reads this one from no file";
  if (key === "secrets") return `use files: ["${secretFolder}/SECRET/KEY"] instead`;
  return `use ${key}_file: ${secretFolder}/SECRET/KEY instead`;
};

/** Every route, with its path. */
const routesOf = (route: unknown, path: Leaf["path"]): Leaf[] =>
  isMapping(route)
    ? [
        { path, value: route },
        ...(Array.isArray(route.routes)
          ? route.routes.flatMap((inner, index) => routesOf(inner, [...path, "routes", index]))
          : []),
      ]
    : [];

const namesOf = (receivers: unknown): string[] =>
  Array.isArray(receivers)
    ? receivers.flatMap((one) => (isMapping(one) && typeof one.name === "string" && one.name ? [one.name] : []))
    : [];

/** The key `config`. Refused: routes without a receiver, passwords, and files that no Secret has. */
export const alertmanagerConfig = z
  .record(z.string(), z.unknown(), { error: "expected Alertmanager's configuration, with route and receivers" })
  .superRefine((config, context) => {
    const refuse = (path: Leaf["path"], input: unknown, message: string, hidden = false) =>
      context.addIssue({ code: "custom", path, input, message, params: { hidden } });
    const { route, receivers } = config;
    const names = namesOf(receivers);
    if (names.length === 0)
      refuse(["receivers"], receivers, "expected a list of receivers, each with a name: alerts are sent to them");
    else if (!isMapping(route) || typeof route.receiver !== "string")
      refuse(
        ["route"],
        route,
        `expected route.receiver, the receiver of alerts that no other route takes: one of ${names.join(", ")}`,
      );
    else
      for (const { path, value } of routesOf(route, ["route"])) {
        const { receiver } = value as { receiver?: unknown };
        if (receiver !== undefined && !names.some((name) => name === receiver))
          refuse([...path, "receiver"], receiver, `expected one of receivers: ${names.join(", ")}`);
      }
    for (const leaf of leaves(config)) {
      const text = String(leaf.value);
      if (isFile(leaf)) {
        if (!secretFile.test(text)) refuse(leaf.path, leaf.value, `expected ${fileExpected}`);
      } else if (leaf.value && (isSecret(leaf) || passwordInside.test(text)))
        refuse(leaf.path, undefined, `expected no password here: ${insteadOf(keyOf(leaf))}`, true);
    }
  });

/** A key of a Secret that the configuration names as a file. */
export interface SecretFile {
  secret: string;
  key: string;
}

/** The keys of Secrets that the configuration names, each once, by their names. */
export function secretFiles(config: AlertmanagerConfig): SecretFile[] {
  const texts = leaves(config)
    .filter(isFile)
    .map(({ value }) => String(value));
  return [...new Set(texts)].sort().flatMap((text) => {
    const [, secret, , key] = secretFile.exec(text) ?? [];
    return secret && key ? [{ secret, key }] : [];
  });
}

const what = "receivers of alerts";

/**
 * What Alertmanager connects to: URLs and mail servers of the configuration, and HTTPS for a receiver whose address it
 * does not have.
 */
export function addresses(config: AlertmanagerConfig): Outside[] {
  const all = leaves(config);
  const urls = all.flatMap((leaf) => {
    const text = String(leaf.value);
    if (/smarthost$/.test(keyOf(leaf))) return [`smtp://${text}`];
    return /(^|_)url$/.test(keyOf(leaf)) && URL.canParse(text) ? [text] : [];
  });
  const kinds = all.flatMap(({ path }) =>
    path[0] === "receivers" && typeof path[2] === "string" && path[2].endsWith("_configs") ? [path[2]] : [],
  );
  const elsewhere = kinds.some((kind) => kind !== "email_configs" && kind !== "webhook_configs");
  const inFile = all.some((leaf) => keyOf(leaf) === "url_file");
  return [...new Set([...urls, ...(elsewhere || inFile ? ["https://receivers"] : [])])].map((url) => ({ what, url }));
}
