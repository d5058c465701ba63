import { createHmac } from "node:crypto";
import * as pulumi from "@pulumi/pulumi";
import type { MockResourceArgs, MockResourceResult } from "@pulumi/pulumi/runtime/mocks.js";
import { type Conditions, currentConditions } from "../config/derived.ts";

/** Pulumi's mark on a value of the wire format, and the mark's value for a secret. */
const signature = "4dabf18193072939515e22adb298388d";
const secretSignature = "1b47061264138c4ac30d75fd1eb44270";

/** One resource that the program registered, with its options, as sent to the engine. */
export interface Resource {
  urn: string;
  type: string;
  name: string;
  custom: boolean;
  /** The inputs as plain values, secrets included: see `secrets`. */
  inputs: Record<string, unknown>;
  /** Dotted paths of the secrets in `inputs`. */
  secrets: string[];
  options: {
    parent?: string;
    /** URNs of everything that must exist before, by `dependsOn` or because an input comes from there. */
    dependencies: string[];
    protect: boolean;
    retainOnDelete: boolean;
    ignoreChanges: string[];
    aliases: unknown[];
    deleteBeforeReplace: boolean;
    /** How long the engine waits, if the program sets it: `60s`. */
    customTimeouts?: { create: string; update: string; delete: string };
    /** Outputs that are secret whatever the provider says. */
    secretOutputs: string[];
  };
  /** Under which values it exists. Only while the Helm chart is written. */
  conditions?: Conditions;
}

export interface Evaluation {
  stack: string;
  resources: Resource[];
  /** The stack's outputs, resolved. */
  outputs: Record<string, unknown>;
}

/** Where the values of `random` resources come from: a name and the inputs (length, keepers) give a value. */
export type RandomSource = (resource: { type: string; name: string; inputs: Record<string, unknown> }) => string;

/** Outputs that a resource has only once it is created, such as a digest or a command's output. */
export type Made = (resource: MockResourceArgs) => Record<string, unknown>;

/** The same seed gives the same passwords: for rendering manifests that someone keeps in a vault. */
export function seeded(seed: string): RandomSource {
  return ({ type, name, inputs }) => {
    const length = type.endsWith("RandomBytes") ? Number(inputs.length) : 0;
    const bytes = (label: string) => createHmac("sha256", seed).update(label).digest();
    const label = `${type} ${name} ${JSON.stringify(inputs.keepers ?? {})}`;
    if (length > 0) {
      // One block is 32 bytes; longer keys take more of them.
      const more = Array.from({ length: Math.ceil(length / 32) - 1 }, (_, block) => bytes(`${label} ${block + 1}`));
      return Buffer.concat([bytes(label), ...more])
        .subarray(0, length)
        .toString("base64");
    }
    return lettersAndDigits(bytes, label, Number(inputs.length));
  };
}

/** Letters and digits drawn evenly from a stream of HMAC blocks. */
function lettersAndDigits(bytes: (label: string) => Buffer, label: string, length: number): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  let text = "";
  for (let block = 0; text.length < length; block++)
    // 248 is the largest multiple of 62 in a byte: larger values would favour the first letters.
    for (const byte of bytes(`${label} ${block}`)) if (byte < 248 && text.length < length) text += alphabet[byte % 62];
  return text;
}

/** Placeholders instead of secrets, for reviewers. */
export const redacted: RandomSource = ({ type, name }) =>
  type.endsWith("RandomBytes") ? Buffer.from(`redacted ${name}`).toString("base64") : `REDACTED-${name}`;

/**
 * Records the resources that a program registers, with their options, which Pulumi's mocks do not get. Call it after
 * `setMocks`, which creates the monitor. The returned list grows while the program runs.
 */
function record(): Resource[] {
  const recorded: Resource[] = [];
  // biome-ignore lint/suspicious/noExplicitAny: the monitor and its generated requests have no exported types
  const monitor = pulumi.runtime.getMonitor() as any;
  const register = monitor.registerResource.bind(monitor);
  // biome-ignore lint/suspicious/noExplicitAny: as above
  monitor.registerResource = (request: any, callback: (error: any, response: any) => void) => {
    const secrets: string[] = [];
    const conditions = currentConditions();
    const resource: Omit<Resource, "urn"> = {
      type: request.getType(),
      name: request.getName(),
      custom: request.getCustom(),
      inputs: plain(request.getObject()?.toJavaScript() ?? {}, "", secrets) as Record<string, unknown>,
      secrets,
      options: {
        ...(request.getParent() && { parent: request.getParent() }),
        dependencies: request.getDependenciesList(),
        protect: request.getProtect() ?? false,
        retainOnDelete: request.getRetainondelete() ?? false,
        ignoreChanges: request.getIgnorechangesList(),
        aliases: request.getAliasesList().map((alias: { toObject(): unknown }) => alias.toObject()),
        deleteBeforeReplace: request.getDeletebeforereplace(),
        ...(request.hasCustomtimeouts() && {
          customTimeouts: {
            create: request.getCustomtimeouts().getCreate(),
            update: request.getCustomtimeouts().getUpdate(),
            delete: request.getCustomtimeouts().getDelete(),
          },
        }),
        secretOutputs: request.getAdditionalsecretoutputsList(),
      },
      ...(conditions && { conditions }),
    };
    return register(request, (error: unknown, response: { getUrn(): string }) => {
      if (!error) recorded.push({ urn: response.getUrn(), ...resource });
      callback(error, response);
    });
  };
  // Without an engine hooks do not run; their registration only has to succeed.
  monitor.registerResourceHook = (_request: unknown, callback: (error: null, response: object) => void) =>
    callback(null, {});
  return recorded;
}

/** Unwraps the wire format's secrets and adds their paths to `secrets`. */
function plain(value: unknown, path: string, secrets: string[]): unknown {
  if (Array.isArray(value)) return value.map((item, i) => plain(item, `${path}[${i}]`, secrets));
  if (value === null || typeof value !== "object") return value;
  const object = value as Record<string, unknown>;
  if (object[signature] === secretSignature) {
    secrets.push(path);
    return plain(object.value, path, secrets);
  }
  return Object.fromEntries(
    Object.entries(object).map(([key, item]) => [key, plain(item, path ? `${path}.${key}` : key, secrets)]),
  );
}

/** A mock provider: outputs are the inputs with those of `made`; `random` resources get a value from `source`. */
const provider = (source: RandomSource, made: Made = () => ({})) => ({
  newResource(args: MockResourceArgs): MockResourceResult {
    const { type, name, inputs } = args;
    const value = () => source({ type, name, inputs });
    switch (type) {
      case "random:index/randomPassword:RandomPassword":
        return { id: "none", state: { ...inputs, result: pulumi.secret(value()) } };
      case "random:index/randomBytes:RandomBytes":
        return { id: name, state: { ...inputs, base64: pulumi.secret(value()) } };
      default:
        return { id: `${name}-id`, state: { ...inputs, ...made(args) } };
    }
  },
  call({ token }: { token: string }): never {
    throw new Error(`the program called ${token}: it may only create resources`);
  },
});

/**
 * Runs a Pulumi program without an engine and returns everything it would create.
 *
 * `config` is the stack's configuration as a stack file has it: full keys, plain values. Throws the program's error if
 * it is invalid; nothing is written anywhere.
 */
export async function evaluate(run: {
  program: () => unknown;
  stack: string;
  config: Record<string, unknown>;
  /** Keys of `config` that were encrypted; the program gets their values as secrets. */
  secretKeys?: string[];
  random: RandomSource;
  project?: string;
  /** Default: no outputs beyond the inputs, which is enough for Kubernetes objects. */
  made?: Made;
  /** Whether it is a preview, in which outputs of created resources are unknown. */
  preview?: boolean;
}): Promise<Evaluation> {
  const failures: unknown[] = [];
  const fail = (reason: unknown) => failures.push(reason);
  process.on("unhandledRejection", fail);
  try {
    const mocks = provider(run.random, run.made);
    await pulumi.runtime.setMocks(mocks, run.project ?? "data-platform", run.stack, run.preview ?? false);
    const resources = record();
    pulumi.runtime.setAllConfig(
      Object.fromEntries(
        Object.entries(run.config).map(([key, value]) => [
          key,
          typeof value === "string" ? value : JSON.stringify(value),
        ]),
      ),
      run.secretKeys ?? [],
    );
    let outputs: Record<string, unknown> | undefined;
    pulumi.output((await run.program()) as Record<string, unknown> | undefined).apply((value) => {
      outputs = value ?? {};
    });
    await settle(resources);
    if (failures.length > 0) throw failures[0];
    if (!outputs) throw new Error("the program's outputs never resolved");
    return { stack: run.stack, resources, outputs };
  } finally {
    process.off("unhandledRejection", fail);
  }
}

/** Waits until no registration is pending: each round can start resources that depend on the round before. */
async function settle(resources: Resource[]): Promise<void> {
  for (let before = -1; before !== resources.length; ) {
    before = resources.length;
    await pulumi.runtime.disconnect();
    await new Promise(setImmediate);
  }
}
