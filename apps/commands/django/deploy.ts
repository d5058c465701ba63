import { isDeepStrictEqual } from "node:util";
import { type Document, parseDocument } from "yaml";
import { changed, keyIn } from "../../../cli/edit.ts";
import { evaluateRedacted, stackFile } from "../../../cli/project.ts";
import { show } from "../../../cli/show.ts";
import { isLocal, targetOf } from "../../../cli/target.ts";
import type { UpOptions } from "../../../cli/up.ts";
import { tagOf } from "../../../config/images.ts";
import { kindUpSteps, registrySteps } from "../../../local/cluster/index.ts";
import { buildDockerfile, missingBases, readDockerfile } from "../../../local/images/index.ts";
import { ConfigError, type StackFile } from "../../../render/stack.ts";
import { type Given, type Source, withSource } from "./source.ts";

/*
 * Commands for external Django applications. They build the image and write the application's entry under `djangoApps`
 * in the stack's file; `up` deploys it.
 */

export type AppOptions = Given &
  UpOptions & { healthPath?: string; database?: string; env?: string[]; envFrom?: EnvFrom[] };
export type EnvFrom = { secretRef: { name: string } } | { configMapRef: { name: string } };

/** An application's entry in the stack file. */
interface App {
  image: string;
  application: string;
  interface?: "asgi";
  directory?: string;
  healthPath?: string;
  database?: string;
  env?: Record<string, unknown>;
  envFrom?: EnvFrom[];
}

const key = ({ project }: StackFile) => `${project}:djangoApps`;
const appsOf = (file: StackFile) => (file.config[key(file)] ?? {}) as Record<string, App>;

/** Checks what can be checked without building or deploying anything. */
export async function validate(options: AppOptions): Promise<void> {
  const file = stackFile(options.stack, options.configFile);
  await withSource(options, async (source) => {
    await check(file, options, source);
    for (const change of source.changes) console.log(change);
    const { name, version } = options;
    console.log(`valid: ${name} ${version} → gunicorn serves ${source.application}; its build was not tried`);
  });
}

export async function create(options: AppOptions): Promise<void> {
  const there = appsOf(stackFile(options.stack, options.configFile))[options.name];
  // The same version again completes an interrupted run.
  if (there && tagOf(there.image) !== options.version)
    throw new ConfigError(
      `--name: ${options.name} is in stack ${options.stack} already, with version ${tagOf(there.image)}; ` +
        "`app update` deploys another version",
    );
  await deploy(options);
}

export async function update(options: AppOptions): Promise<void> {
  appNamed(stackFile(options.stack, options.configFile), options.name);
  await deploy(options);
}

export async function remove(options: UpOptions & { name: string }): Promise<void> {
  const file = stackFile(options.stack, options.configFile);
  const { database } = appNamed(file, options.name);
  const take = edited((document) => {
    const path = ["config", keyIn(document, file, "djangoApps")];
    document.deleteIn([...path, options.name]);
    if (Object.keys(appsOf(file)).length === 1) document.deleteIn(path);
  });
  await changed(file, options, take);
  console.log(
    database === "cloudnative-pg"
      ? `${options.name} is gone, and with it the database that CloudNativePG ran for it, unless global.protectData keeps that`
      : `${options.name} is gone; its database stays in PostgreSQL until someone drops it`,
  );
}

/** Builds the image and runs `up` with it. */
async function deploy(options: AppOptions): Promise<void> {
  const file = stackFile(options.stack, options.configFile);
  const target = await targetOf(file, options.context);
  if (!isLocal(target))
    throw new ConfigError(
      `stack ${options.stack}: ${target.context} is not a local cluster, so no image can be pushed to it from here; ` +
        "push the image to a registry that it can pull from, and name it in djangoApps in the stack file",
    );
  const app = await withSource(options, async (source) => {
    await check(file, options, source);
    for (const change of source.changes) console.log(change);
    const tag = `apps/${options.name}:${options.version}`;
    let digest = "";
    await show([
      ...(target.cluster === "kind" ? kindUpSteps() : registrySteps()),
      {
        title: `Image ${tag}`,
        run: async (say) => {
          const { context, dockerfile } = source;
          const byDocker = target.cluster === "kind";
          ({ digest } = await buildDockerfile({ context, dockerfile, tag, byDocker }, say));
        },
      },
    ]);
    // With its digest, since the same version may be built again from other sources.
    return entry(appsOf(file)[options.name], options, source, `${tag}@${digest}`);
  });
  const put = edited((document) => {
    const path = ["config", keyIn(document, file, "djangoApps"), options.name];
    for (const [field, value] of Object.entries(app)) {
      if (value === undefined) document.deleteIn([...path, field]);
      else document.setIn([...path, field], document.createNode(value));
    }
  });
  await changed(file, options, put);
}

/**
 * The fields of an application's entry to write. Some come from the source; variables are added to the existing ones.
 */
function entry(
  there: App | undefined,
  { healthPath, database, env, envFrom }: AppOptions,
  source: Source,
  image: string,
): Partial<App> & Pick<App, "image" | "application"> {
  const { application, directory } = source;
  const refs = [...(there?.envFrom ?? []), ...(envFrom ?? [])];
  return {
    image,
    application,
    interface: source.interface === "asgi" ? "asgi" : undefined,
    directory,
    ...(healthPath && { healthPath }),
    ...(database && { database }),
    ...(env && { env: { ...there?.env, ...variablesOf(env) } }),
    ...(envFrom && { envFrom: refs.filter((ref, i) => refs.findIndex((one) => isDeepStrictEqual(one, ref)) === i) }),
  };
}

/** The variables of `--env NAME=value`. None is shown when it is refused, since it may hold a password. */
const variablesOf = (texts: string[]): Record<string, string> =>
  Object.fromEntries(
    texts.map((text, i) => {
      const end = text.indexOf("=");
      if (end < 1) throw new ConfigError(`--env: found no = in argument ${i + 1}; expected NAME=value`);
      return [text.slice(0, end), text.slice(end + 1)];
    }),
  );

/** Checks that the base images are available and that the program accepts the application. */
async function check(file: StackFile, options: AppOptions, source: Source): Promise<void> {
  const bases = await missingBases(readDockerfile(source.dockerfile));
  if (bases.length > 0) throw new ConfigError(bases.map((reason) => `Dockerfile: ${reason}`).join("\n"));
  const there = appsOf(file)[options.name];
  const image = `apps/${options.name}:${options.version}`;
  const app = Object.fromEntries(
    Object.entries({ ...there, ...entry(there, options, source, image) }).filter(([, value]) => value !== undefined),
  );
  const config = { ...file.config, [key(file)]: { ...appsOf(file), [options.name]: app } };
  await evaluateRedacted({ ...file, config }, options.context);
}

/** An application's entry. Throws a `ConfigError` if the stack has none of that name. */
function appNamed(file: StackFile, name: string): App {
  const apps = new Map(Object.entries(appsOf(file)));
  const app = apps.get(name);
  if (app) return app;
  const expected =
    apps.size > 0 ? `expected one of ${[...apps.keys()].join(", ")}` : `stack ${file.stack} has no application`;
  throw new ConfigError(`--name: found ${name}; ${expected}: \`app create\` makes a new one`);
}

/** A stack file's text after a change of it. */
const edited =
  (change: (document: Document) => void) =>
  (text: string): string => {
    const document = parseDocument(text);
    change(document);
    return document.toString({ lineWidth: 0 });
  };
