import { setTimeout as sleep } from "node:timers/promises";
import { evaluateRedacted, stackFile } from "../../../cli/project.ts";
import { show } from "../../../cli/show.ts";
import { connect, targetOf } from "../../../cli/target.ts";
import type { Kube, Live } from "../../../kube/client.ts";
import { podsOf } from "../../../kube/diagnose.ts";
import { readiness } from "../../../kube/ready.ts";
import { UserError } from "../../../local/step.ts";
import { manifests } from "../../../render/manifests.ts";
import { ConfigError, type StackFile } from "../../../render/stack.ts";

export interface WebAppOptions {
  stack: string;
  configFile?: string;
  context?: string;
}

/** Copies Redis to MinIO now, with the Job of the scheduled backup. */
export async function backup(options: WebAppOptions): Promise<void> {
  const file = stackFile(options.stack, options.configFile);
  console.log(await runNow(file, "backup", {}, "Backing up Redis", options.context));
}

/** Replaces all data in Redis by a backup. */
export async function restore(options: WebAppOptions & { from: string }): Promise<void> {
  if (!/^[\w.-]+$/.test(options.from))
    throw new ConfigError(
      `--from: found ${options.from}; expected a backup's name such as 2026-01-31T03-17-00Z.rdb, as \`./platform web-app backup\` prints it`,
    );
  const file = stackFile(options.stack, options.configFile);
  const title = `Restoring Redis from ${options.from}`;
  console.log(await runNow(file, "restore", { FROM: options.from }, title, options.context));
}

/** Runs a CronJob of the web app once, now, with these variables in its init containers. Returns its logs. */
async function runNow(
  file: StackFile,
  role: string,
  variables: Record<string, string>,
  title: string,
  context?: string,
): Promise<string> {
  const planned = manifests(await evaluateRedacted(file, context))
    .map(({ object }) => object)
    .find(({ kind, metadata }) => kind === "CronJob" && metadata.labels?.["app.kubernetes.io/component"] === role);
  if (!planned)
    throw new ConfigError(
      `stack ${file.stack}: has no backups of the web app; expected webApp.enabled: true and minio.enabled: true`,
    );
  const kube = await connect(await targetOf(file, context));
  const cronJob = await kube.get(planned);
  if (!cronJob)
    throw new UserError(
      `CronJob ${planned.metadata.namespace}/${planned.metadata.name}: not in the cluster; \`./platform up --stack ${file.stack}\` makes it`,
    );
  const { metadata, spec } = structuredClone(cronJob.spec.jobTemplate) as Pick<Live, "metadata" | "spec">;
  for (const { env } of spec.template.spec.initContainers)
    for (const variable of env) variable.value = variables[variable.name] ?? variable.value;
  const name = `${planned.metadata.name}-${Date.now().toString(36)}`;
  let said = "";
  await show([
    {
      title,
      run: async () => {
        const job = await kube.create({
          apiVersion: "batch/v1",
          kind: "Job",
          metadata: { ...metadata, name, namespace: planned.metadata.namespace },
          spec: { ...spec, ttlSecondsAfterFinished: 3600 },
        });
        for (let live: Live | undefined = job; ; live = await kube.get(job)) {
          if (!live) throw new UserError(`Job ${name}: someone deleted it before it had ended`);
          const { state } = readiness(live);
          if (state === "waiting") {
            await sleep(1_000);
            continue;
          }
          said = await logs(kube, live);
          if (state === "failed") throw new UserError(`Job ${live.metadata.namespace}/${name} failed:\n${said}`);
          return;
        }
      },
    },
  ]);
  return said;
}

/** The logs of the containers of a Job's pods, in the order in which they ran. */
async function logs(kube: Kube, job: Live): Promise<string> {
  const pods = await podsOf(kube, job);
  const all = pods.flatMap((pod) =>
    [...pod.spec.initContainers, ...pod.spec.containers].map(({ name }: { name: string }) =>
      kube.log(pod, { container: name, lines: 50 }),
    ),
  );
  return (await Promise.all(all))
    .map((log) => log.trim())
    .filter((log) => log)
    .join("\n");
}
