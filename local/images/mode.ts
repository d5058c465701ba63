import { parseReference } from "../../components/kind/reference.ts";
import { UserError } from "../step.ts";

/** Where images come from. */
export type ImageMode =
  /** Pulled if their registry can be reached, otherwise built from packages. */
  | "auto"
  /** Built from packages; only this machine's registry is asked. */
  | "packages"
  /** Pulled, without a test whether the registry can be reached. */
  | "pull";

/** `PLATFORM_IMAGES`, `auto` by default. */
export function imageMode(value = process.env.PLATFORM_IMAGES): ImageMode {
  if (!value) return "auto";
  if (value === "auto" || value === "packages" || value === "pull") return value;
  throw new UserError(`PLATFORM_IMAGES is "${value}"; it can be auto, packages or pull.`);
}

/** Milliseconds after which a registry counts as out of reach. */
const timeout = 3000;

/** Docker Hub's API has another host than its image names. */
const apiHost = (host: string): string => (host === "docker.io" ? "index.docker.io" : host);

/**
 * Whether a registry answers; 401 is an answer too. The headers distinguish it from a proxy's page, which may answer 200.
 */
export async function answers(url: string, milliseconds = timeout): Promise<boolean> {
  try {
    const { status, headers } = await fetch(`${url}/v2/`, { signal: AbortSignal.timeout(milliseconds) });
    const isRegistry = headers.has("docker-distribution-api-version");
    return (status === 200 && isRegistry) || (status === 401 && (isRegistry || headers.has("www-authenticate")));
  } catch {
    return false;
  }
}

const reachable = new Map<string, Promise<boolean>>();

/** Whether an image can be pulled. Each registry is asked once per run. */
export async function canBePulled(reference: string, ask = answers): Promise<boolean> {
  const mode = imageMode();
  if (mode !== "auto") return mode === "pull";
  const { host } = parseReference(reference);
  const answer = reachable.get(host) ?? ask(`https://${apiHost(host)}`);
  reachable.set(host, answer);
  return answer;
}
