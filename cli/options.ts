import { resolve } from "node:path";
import { Option } from "commander";
import { handleSignals } from "./interrupt.ts";
import { lock } from "./lock.ts";

/*
 * What commands have in common: options, and the lock of those that change something.
 */

const asTyped = ["./platform", ...process.argv.slice(2)].join(" ");

export const stack = () => new Option("-s, --stack <name>", "which Pulumi.<name>.yaml").default("dev");
export const context = () =>
  new Option("-c, --context <name>", "a context of your kubeconfig, in place of a local cluster");
/** An option with a path, which becomes absolute. */
export const path = (flags: string, what: string) =>
  new Option(flags, what).argParser((value: string) => resolve(value));
export const configFile = () => path("--config-file <file>", "a stack file in place of Pulumi.<name>.yaml");

/** An action that takes long and changes nothing that another command uses. */
// biome-ignore lint/suspicious/noExplicitAny: commander hands over whatever options the command has
export function lasting(action: (options: any) => Promise<void>) {
  // biome-ignore lint/suspicious/noExplicitAny: as above
  return async (options: any) => {
    handleSignals(asTyped);
    await action(options);
  };
}

/** An action that changes something on this machine or in a cluster: one at a time. */
// biome-ignore lint/suspicious/noExplicitAny: commander hands over whatever options the command has
export function changing(action: (options: any) => Promise<void>) {
  // biome-ignore lint/suspicious/noExplicitAny: as above
  return async (options: any) => {
    handleSignals(asTyped);
    const release = await lock(asTyped);
    await action(options).finally(release);
  };
}
