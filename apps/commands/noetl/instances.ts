import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import * as pep440 from "@renovatebot/pep440";
import { type Document, isMap, parseDocument } from "yaml";
import { componentStates } from "../../../cli/component-states.ts";
import { ofProgram } from "../../../cli/deployed.ts";
import { changed, keyIn } from "../../../cli/edit.ts";
import { evaluateRedacted, stackFile } from "../../../cli/project.ts";
import { table } from "../../../cli/show.ts";
import { connect, targetOf } from "../../../cli/target.ts";
import type { UpOptions } from "../../../cli/up.ts";
import { mainInstance, nameOf } from "../../../components/noetl/schema.ts";
import { latest, packageName, startPlan } from "../../../components/noetl/versions.ts";
import { parseConfig } from "../../../config/problems.ts";
import { UserError } from "../../../local/step.ts";
import { ConfigError } from "../../../render/stack.ts";

/*
 * Commands for instances of NoETL. They check the options, write the instance into the stack's file and run `up`: the
 * file stays the only source of what runs.
 */

export interface DeployOptions {
  type: "version" | "package" | "dev";
  name: string;
  version?: string;
  packagePath?: string;
  repoPath?: string;
}

export interface Instance {
  type: DeployOptions["type"];
  version: string;
  path?: string;
}

/** The option that goes with each type. */
const optionOf = { version: "version", package: "packagePath", dev: "repoPath" } as const;
const flagOf = { version: "--version", packagePath: "--package-path", repoPath: "--repo-path" } as const;

/** The instance that the options describe. Throws a `ConfigError` of one sentence. */
export function instanceOf(options: DeployOptions): Instance {
  const { type } = options;
  const own = optionOf[type];
  for (const other of Object.values(optionOf))
    if (other !== own && options[other] !== undefined)
      throw new ConfigError(
        `${flagOf[other]}: found beside --type ${type}; expected ${flagOf[own]} alone, since one instance is of one type`,
      );
  const value = options[own];
  if (!value) throw new ConfigError(`${flagOf[own]}: found nothing; expected it beside --type ${type}`);
  if (type === "version") return { type, version: planned(value, "--version").version };

  const path = resolve(value);
  const flag = `${flagOf[own]} ${path}`;
  if (!existsSync(path)) throw new ConfigError(`${flag}: there is no such directory`);
  if (!statSync(path).isDirectory()) throw new ConfigError(`${flag}: found a file; expected a directory`);
  const version = type === "dev" ? checkedOut(path, flag) : packaged(path, flag);
  return { type, version: planned(version, flag, true).version, path };
}

function planned(version: string, flag: string, unreleased = false) {
  const plan = startPlan(version, { unreleased });
  if ("refused" in plan) throw new ConfigError(`${flag}: found ${version}; ${plan.refused}`);
  return plan;
}

/** The version in a checkout's pyproject.toml. */
function checkedOut(path: string, flag: string): string {
  const file = join(path, "pyproject.toml");
  if (!existsSync(file)) throw new ConfigError(`${flag}: holds no pyproject.toml; expected a checkout of NoETL`);
  const project = /^\[project\]$([\s\S]*?)(?=^\[|$(?![\s\S]))/m.exec(readFileSync(file, "utf8"))?.[1] ?? "";
  const field = (name: string) => new RegExp(`^${name}\\s*=\\s*["']([^"']*)["']`, "m").exec(project)?.[1];
  if (field("name") !== "noetl")
    throw new ConfigError(`${flag}: its pyproject.toml is of ${field("name") ?? "no project"}; expected noetl's`);
  const version = field("version");
  if (!version)
    throw new ConfigError(`${flag}: its pyproject.toml has no version; expected one, which says how to start it`);
  const started = startedAs(version);
  if (!started)
    throw new ConfigError(
      `${flag}: its pyproject.toml has version ${version}; expected one such as ${latest} (PEP 440)`,
    );
  return started;
}

/** The version of the newest package in a directory: the one that the pod will install. */
function packaged(path: string, flag: string): string {
  const whole = new RegExp(`^${packageName}$`, "i");
  const packages = readdirSync(path).filter((file) => /^noetl-.*\.(tar\.gz|whl)$/i.test(file));
  const newest = packages
    .flatMap((file) => {
      const [, wheel, , source] = whole.exec(file) ?? [];
      return pep440.valid(wheel ?? source) ?? [];
    })
    .sort(pep440.compare)
    .at(-1);
  const version = newest && startedAs(newest);
  if (version) return version;
  throw new ConfigError(
    packages.length > 0
      ? `${flag}: holds ${packages.join(", ")}; expected a version (PEP 440) in the name, such as noetl-${latest}-py3-none-any.whl`
      : `${flag}: holds no noetl-*.tar.gz and no noetl-*.whl; expected one of them`,
  );
}

/**
 * The release segment as three numbers: 4.27.0 for 4.27rc1 and 4.27.0+local. Undefined if the version is not valid by
 * PEP 440.
 */
function startedAs(version: string): string | undefined {
  const release = pep440.parse(version)?.release;
  return release && [0, 1, 2].map((i) => release[i] ?? 0).join(".");
}

const blockIn = (document: Document) => ["config", keyIn(document, { project: "data-platform" }, "noetl")];

/** A stack file's text with an instance added, or replaced if its name exists. */
export function withInstance(text: string, name: string, instance: Instance): string {
  const document = parseDocument(text);
  const block = blockIn(document);
  // Without instances in the file there is the default one, which must stay.
  if (!document.hasIn([...block, "instances"]) && document.getIn([...block, "enabled"]) !== false)
    document.setIn([...block, "instances", mainInstance], flow({ version: latest }));
  document.setIn([...block, "instances", name], flow(instance));
  if (document.getIn([...block, "enabled"]) === false) document.setIn([...block, "enabled"], true);
  return document.toString({ lineWidth: 0 });

  function flow(value: object) {
    return document.createNode(value, { flow: true });
  }
}

/** A stack file's text without an instance; after the last one, NoETL is disabled. */
export function withoutInstance(text: string, name: string): string {
  const document = parseDocument(text);
  const block = blockIn(document);
  const instances = document.getIn([...block, "instances"]);
  if (isMap(instances)) instances.delete(name);
  if (!isMap(instances) || instances.items.length === 0) {
    if (instances) document.deleteIn([...block, "instances"]);
    document.setIn([...block, "enabled"], false);
  }
  return document.toString({ lineWidth: 0 });
}

/** The instances that a stack's configuration has, its default included. */
export function instancesIn(stack: string, text: string): Record<string, Instance> {
  const config = (parseDocument(text).toJS() as { config?: Record<string, unknown> } | null)?.config ?? {};
  const own = Object.entries(config).filter(([key]) => !key.includes(":") || key.startsWith("data-platform:"));
  const values = Object.fromEntries(own.map(([key, value]) => [key.replace("data-platform:", ""), value]));
  const { noetl } = parseConfig(stack, values);
  return noetl.enabled ? (noetl.instances as Record<string, Instance>) : {};
}

type Where = Pick<UpOptions, "stack" | "configFile" | "context">;

/** Changes the stack's file and runs `up`, if the changed configuration is valid. */
async function change(options: UpOptions, edit: (text: string) => string): Promise<void> {
  const file = stackFile(options.stack, options.configFile);
  await changed(file, options, (text) => {
    const after = edit(text);
    instancesIn(file.stack, after);
    return after;
  });
}

export async function deploy(options: DeployOptions & UpOptions): Promise<void> {
  const instance = instanceOf(options);
  await change(options, (text) => withInstance(text, options.name, instance));
}

export async function validate(options: DeployOptions & Where): Promise<void> {
  const instance = instanceOf(options);
  const { path, stack } = stackFile(options.stack, options.configFile);
  instancesIn(stack, withInstance(readFileSync(path, "utf8"), options.name, instance));
  console.log(`valid: ${options.name} → NoETL ${instance.version}, type ${instance.type}`);
}

export async function destroy(options: { name: string } & UpOptions): Promise<void> {
  const { path, stack } = stackFile(options.stack, options.configFile);
  const names = Object.keys(instancesIn(stack, readFileSync(path, "utf8")));
  if (!names.includes(options.name))
    throw new UserError(`stack ${stack} has no instance ${options.name}; it has ${names.join(", ") || "none"}`);
  await change(options, (text) => withoutInstance(text, options.name));
}

export async function list(options: Where): Promise<void> {
  const file = stackFile(options.stack, options.configFile);
  const instances = instancesIn(file.stack, readFileSync(file.path, "utf8"));
  const target = await targetOf(file, options.context);
  const kube = await connect(target);
  const states = await componentStates(kube, target, ofProgram(await evaluateRedacted(file, options.context)));
  const rows = Object.entries(instances).map(([name, { type, version, path }]) => {
    const component = states.find((one) => one.name === nameOf(name));
    return [name, type, version, path ?? "", component?.state ?? "", component?.address ?? ""];
  });
  console.log(table(["NAME", "TYPE", "VERSION", "PATH", "STATE", "ADDRESS FROM THIS MACHINE"], rows));
}
