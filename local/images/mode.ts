import { UserError } from "../step.ts";
import { parseReference } from "./reference.ts";

/** Where images come from. */
export type ImageMode =
  /** From their own registry where it can be reached, else made from packages. */
  | "auto"
  /** Made from packages; no image registry but this machine's is asked. */
  | "packages"
  /** From their own registry, whether it seems to be reachable or not. */
  | "pull";

/** `PLATFORM_IMAGES`, `auto` by default. */
export function imageMode(value = process.env.PLATFORM_IMAGES): ImageMode {
  if (!value) return "auto";
  if (value === "auto" || value === "packages" || value === "pull") return value;
  throw new UserError(`PLATFORM_IMAGES is "${value}"; it can be auto, packages or pull.`);
}

/** Milliseconds a registry has to answer before it counts as out of reach. */
const patience = 3000;

/** The one registry whose images go by another name than its API. */
const apiHost = (host: string): string => (host === "docker.io" ? "index.docker.io" : host);

/**
 * Whether a registry speaks its API to us: it does even where it wants a login first. Its headers tell it from a
 * proxy's page, which says 200 too.
 */
export async function answers(url: string, milliseconds = patience): Promise<boolean> {
  try {
    const { status, headers } = await fetch(`${url}/v2/`, { signal: AbortSignal.timeout(milliseconds) });
    const isRegistry = headers.has("docker-distribution-api-version");
    return (status === 200 && isRegistry) || (status === 401 && (isRegistry || headers.has("www-authenticate")));
  } catch {
    return false;
  }
}

const reachable = new Map<string, Promise<boolean>>();

/** Whether the real image can be had. Each registry is asked once per run. */
export async function canBePulled(reference: string, ask = answers): Promise<boolean> {
  const mode = imageMode();
  if (mode !== "auto") return mode === "pull";
  const { host } = parseReference(reference);
  const answer = reachable.get(host) ?? ask(`https://${apiHost(host)}`);
  reachable.set(host, answer);
  return answer;
}
