import { createHmac } from "node:crypto";
import * as pulumi from "@pulumi/pulumi";
import type { MockResourceArgs, MockResourceResult } from "@pulumi/pulumi/runtime/mocks.js";

/** Pulumi's mark on a value of the wire format, and the mark's value for a secret. */
const signature = "4dabf18193072939515e22adb298388d";
const secretSignature = "1b47061264138c4ac30d75fd1eb44270";

/** What the program asked the engine for: one resource with its options, as it went over the wire. */
export interface Resource {
  urn: string;
  type: string;
  name: string;
  custom: boolean;
  /** The inputs as plain values. What the program marked secret is still in them: see `secrets`. */
  inputs: Record<string, unknown>;
  /** Where in `inputs` secrets stand, as dotted paths. */
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
    /** How long the engine waits, where the program says: `60s`. */
    customTimeouts?: { create: string; update: string };
    /** Outputs that are secret whatever the provider says. */
    secretOutputs: string[];
  };
}

export interface Evaluation {
  stack: string;
  resources: Resource[];
  /** The stack's outputs, resolved. */
  outputs: Record<string, unknown>;
}

/** Where the values of `random` resources come from: a name and the inputs (length, keepers) give a value. */
export type RandomSource = (resource: { type: string; name: string; inputs: Record<string, unknown> }) => string;

/** What a resource knows once it is made: a digest, what a command printed. */
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
    // 248 is the largest multiple of 62 in a byte: what lies above would favour the first letters.
    for (const byte of bytes(`${label} ${block}`)) if (byte < 248 && text.length < length) text += alphabet[byte % 62];
  return text;
}

/** No secret at all: what is shown to a reviewer. */
export const redacted: RandomSource = ({ type, name }) =>
  type.endsWith("RandomBytes") ? Buffer.from(`redacted ${name}`).toString("base64") : `REDACTED-${name}`;

/**
 * Records what a program registers, with the options that ordinary mocks never see.
 * Call it after `setMocks`, which makes the monitor; returns the list that fills as the program runs.
 */
function record(): Resource[] {
  const recorded: Resource[] = [];
  // biome-ignore lint/suspicious/noExplicitAny: the monitor and its generated requests have no exported types
  const monitor = pulumi.runtime.getMonitor() as any;
  const register = monitor.registerResource.bind(monitor);
  // biome-ignore lint/suspicious/noExplicitAny: as above
  monitor.registerResource = (request: any, callback: (error: any, response: any) => void) => {
    const secrets: string[] = [];
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
          },
        }),
        secretOutputs: request.getAdditionalsecretoutputsList(),
      },
    };
    return register(request, (error: unknown, response: { getUrn(): string }) => {
      if (!error) recorded.push({ urn: response.getUrn(), ...resource });
      callback(error, response);
    });
  };
  // Hooks run in an engine; here it is enough that one may be registered.
  monitor.registerResourceHook = (_request: unknown, callback: (error: null, response: object) => void) =>
    callback(null, {});
  return recorded;
}

/** Unwraps the wire format's secrets, noting where they stood. */
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

/** A provider that gives every resource what it asked for with what `made` adds, and `random` ones a value from `source`. */
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
 * `config` is the stack's configuration as a stack file has it: full keys, plain values.
 * A mistake in it throws what the program threw; nothing is written anywhere.
 */
export async function evaluate(run: {
  program: () => unknown;
  stack: string;
  config: Record<string, unknown>;
  /** Keys of `config` that came encrypted; what they hold is a secret to the program. */
  secretKeys?: string[];
  random: RandomSource;
  project?: string;
  /** Default: nothing beyond what was asked for, which is enough for Kubernetes objects. */
  made?: Made;
  /** Whether it is a preview: what only a resource that was made could tell is then unknown. */
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

/** Waits until no resource is under way: each round can start resources that hang on the one before. */
async function settle(resources: Resource[]): Promise<void> {
  for (let before = -1; before !== resources.length; ) {
    before = resources.length;
    await pulumi.runtime.disconnect();
    await new Promise(setImmediate);
  }
}
