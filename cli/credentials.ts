import { UserError } from "../local/step.ts";
import { ConfigError } from "../render/stack.ts";
import { deployed } from "./deployed.ts";
import { stackFile } from "./project.ts";
import { connect, targetOf } from "./target.ts";

export interface CredentialsOptions {
  stack: string;
  configFile?: string;
  context?: string;
  field?: string;
}

/** Prints what a part's Secret holds: the one command that shows a password, to standard output and nowhere else. */
export async function credentials(part: string, options: CredentialsOptions): Promise<void> {
  const file = stackFile(options.stack, options.configFile);
  const { secrets } = await deployed(file, options.context);
  const place = secrets[part];
  if (!place) throw new ConfigError(`PART: found ${part}; expected one of ${Object.keys(secrets).join(", ")}`);
  const kube = await connect(await targetOf(file, options.context));
  const secret = await kube.get({ apiVersion: "v1", kind: "Secret", metadata: place });
  if (!secret)
    throw new UserError(
      `Secret ${place.namespace}/${place.name}: not in the cluster; \`./platform up --stack ${file.stack}\` makes it`,
    );
  const values = Object.entries((secret.data ?? {}) as Record<string, string>).map(
    ([key, value]) => [key, Buffer.from(value, "base64").toString()] as const,
  );
  if (options.field === undefined) {
    for (const [key, value] of values) console.log(`${key}=${value}`);
    return;
  }
  const found = values.find(([key]) => key === options.field);
  if (!found)
    throw new ConfigError(`--field: found ${options.field}; expected one of ${values.map(([key]) => key).join(", ")}`);
  console.log(found[1]);
}
