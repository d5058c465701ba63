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

/** Prints a component's Secret: the only command that shows a password, to standard output and nowhere else. */
export async function credentials(component: string, options: CredentialsOptions): Promise<void> {
  const file = stackFile(options.stack, options.configFile);
  const { secrets } = await deployed(file, options.context);
  const ref = secrets[component];
  if (!ref) throw new ConfigError(`COMPONENT: found ${component}; expected one of ${Object.keys(secrets).join(", ")}`);
  const kube = await connect(await targetOf(file, options.context));
  const secret = await kube.get({ apiVersion: "v1", kind: "Secret", metadata: ref });
  if (!secret)
    throw new UserError(
      `Secret ${ref.namespace}/${ref.name}: not in the cluster; \`./platform up --stack ${file.stack}\` makes it`,
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
