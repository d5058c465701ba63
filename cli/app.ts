import { type Document, parseDocument } from "yaml";
import { ConfigError, type StackFile } from "../engine/stack.ts";
import { kindUpSteps, registrySteps } from "../local/cluster/index.ts";
import { buildDockerfile } from "../local/images/index.ts";
import { changed, keyIn } from "./edit.ts";
import { evaluateRedacted, stackFile } from "./project.ts";
import { show } from "./show.ts";
import { type Given, type Source, withSource } from "./source.ts";
import { isLocal, targetOf } from "./target.ts";
import type { UpOptions } from "./up.ts";

/*
 * Django applications from elsewhere. Which of them a stack has stands in its file, under `djangoApps`, and `up` does
 * the rest: what these commands do is to make the image and to write that file.
 */

export type AppOptions = Given & UpOptions & { healthPath?: string; database?: string };

/** An application as a stack file has it. */
interface App {
  image: string;
  application: string;
  healthPath?: string;
  database?: string;
}

const key = ({ project }: StackFile) => `${project}:djangoApps`;
const appsOf = (file: StackFile) => (file.config[key(file)] ?? {}) as Record<string, App>;

/** Checks all that there is to check without building or deploying anything. */
export async function validate(options: AppOptions): Promise<void> {
  const file = stackFile(options.stack, options.configFile);
  await withSource(options, async (source) => {
    await check(file, options, source);
    for (const change of source.changes) console.log(change);
    console.log(`${options.name} ${options.version} can be built, and gunicorn will serve ${source.application}`);
  });
}

export async function create(options: AppOptions): Promise<void> {
  const there = appsOf(stackFile(options.stack, options.configFile))[options.name];
  // The same version again is what an interrupted run is made good by.
  if (there && versionOf(there.image) !== options.version)
    throw new ConfigError(
      `--name: ${options.name} is in stack ${options.stack} already, with version ${versionOf(there.image)}; ` +
        "`app update` puts another version in its place",
    );
  await deploy(options);
}

export async function update(options: AppOptions): Promise<void> {
  mustBeThere(stackFile(options.stack, options.configFile), options.name);
  await deploy(options);
}

export async function remove(options: UpOptions & { name: string }): Promise<void> {
  const file = stackFile(options.stack, options.configFile);
  mustBeThere(file, options.name);
  const { database } = appsOf(file)[options.name]!;
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

/** Builds the image, and brings the stack up with it. */
async function deploy(options: AppOptions): Promise<void> {
  const file = stackFile(options.stack, options.configFile);
  const target = await targetOf(file, options.context);
  if (!isLocal(target))
    throw new ConfigError(
      `stack ${options.stack}: ${target.context} is not a cluster of this machine, so it cannot be given images from here; ` +
        "push the image to a registry that it reaches, and name it in djangoApps in the stack file",
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
          ({ digest } = await buildDockerfile({ context, dockerfile, tag }, say));
        },
      },
    ]);
    // With its digest, since the same version may be built again from other sources.
    return entry(options, source, `${tag}@${digest}`);
  });
  const put = edited((document) => {
    const path = ["config", keyIn(document, file, "djangoApps"), options.name];
    for (const [field, value] of Object.entries(app)) document.setIn([...path, field], value);
  });
  await changed(file, options, put);
}

const entry = ({ healthPath, database }: AppOptions, { application }: Source, image: string): App => ({
  image,
  application,
  ...(healthPath && { healthPath }),
  ...(database && { database }),
});

/** Whether the stack would take the application, by what the program says to it. */
async function check(file: StackFile, options: AppOptions, source: Source): Promise<void> {
  const app = { ...appsOf(file)[options.name], ...entry(options, source, `apps/${options.name}:${options.version}`) };
  const config = { ...file.config, [key(file)]: { ...appsOf(file), [options.name]: app } };
  await evaluateRedacted({ ...file, config }, options.context);
}

function mustBeThere(file: StackFile, name: string): void {
  const names = Object.keys(appsOf(file));
  if (!names.includes(name))
    throw new ConfigError(
      `--name: found ${name}; ${names.length > 0 ? `expected one of ${names.join(", ")}` : `stack ${file.stack} has no application`}: \`app create\` makes a new one`,
    );
}

/** `1.2.0` of `apps/shop:1.2.0@sha256:…`. */
const versionOf = (image: string) => image.split("@")[0]!.split(":").at(-1);

/** A stack file's text after a change of it. */
const edited =
  (change: (document: Document) => void) =>
  (text: string): string => {
    const document = parseDocument(text);
    change(document);
    return document.toString({ lineWidth: 0 });
  };
