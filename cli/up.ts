import { setTimeout as sleep } from "node:timers/promises";
import { apply, type Outcome } from "../engine/apply.ts";
import type { Kube } from "../kube/client.ts";
import { diagnoseAll } from "../kube/diagnose.ts";
import * as cluster from "../local/cluster/index.ts";
import { ensureImages, ensureImagesByDocker } from "../local/images/index.ts";
import { type Say, type Step, UserError } from "../local/step.ts";
import type { Evaluation } from "../render/evaluate.ts";
import { type KubeObject, manifests } from "../render/manifests.ts";
import { chartType, refuseCharts, refuseEncrypted, type StackFile } from "../render/stack.ts";
import type { Engine, Target } from "./choose.ts";
import { type Deployed, ofProgram } from "./deployed.ts";
import { pickEngine } from "./engine.ts";
import { partStates, partTable } from "./parts.ts";
import { preflight } from "./preflight.ts";
import { evaluateRedacted, evaluateStack, stackFile } from "./project.ts";
import { findPulumi, Pulumi, pulumiSteps } from "./pulumi.ts";
import { show, type Work } from "./show.ts";
import { connect, existingLocal, isLocal, nameOf, targetOf } from "./target.ts";

export interface UpOptions {
  stack: string;
  context?: string;
  configFile?: string;
  engine?: Engine;
  /** Seconds that one object may take to become ready. */
  timeout: number;
}

export async function up(options: UpOptions): Promise<void> {
  const file = stackFile(options.stack, options.configFile);
  // Before anything is started: a wrong configuration should be told in a second, not after the cluster is up.
  const evaluation = await evaluateRedacted(file, options.context);
  const target = await targetOf(file, options.context);
  console.log(`cluster: ${nameOf(target)} (${target.why})`);
  // In a new cluster the stack belongs to no engine yet: what is asked for can be built at the same time.
  const engineWork = options.engine === "pulumi" && !existingLocal() ? pulumiSteps(await findPulumi()) : [];
  if (isLocal(target)) await show(localWork(target, imagesOf(evaluation), engineWork));

  const kube = await connect(target);
  await preflight(kube, file, evaluation);
  const { engine, why } = await pickEngine(kube, file, options.engine);
  console.log(`engine: ${engine} (${why})`);
  if (engine === "apply") await byApply(kube, file, target, evaluation, options);
  else await byPulumi(kube, file, target, evaluation);

  const parts = await settled(kube, target, ofProgram(evaluation), options.timeout);
  console.log(`\n${partTable(parts, options)}`);
  const down = parts.filter(({ ready }) => !ready);
  if (down.length > 0) throw new UserError(`not ready: ${down.map(({ name }) => name).join(", ")}`);
}

/**
 * The parts once they are all ready, or as they are when `timeout` seconds have passed. Pulumi takes a Deployment whose
 * only pod is being replaced for done: as many may be away as it has.
 */
async function settled(kube: Kube, target: Target, deployed: Deployed, timeout: number) {
  let parts = await partStates(kube, target, deployed);
  const waiting = () => parts.filter(({ ready }) => !ready).map(({ name, state }) => `${name} (${state})`);
  if (waiting().length > 0)
    await show([
      {
        title: "Wait until every part is ready",
        run: async (say) => {
          for (const deadline = Date.now() + timeout * 1000; waiting().length > 0 && Date.now() < deadline; ) {
            say(waiting().join(", "));
            await sleep(2_000);
            parts = await partStates(kube, target, deployed);
          }
        },
      },
    ]);
  return parts;
}

/**
 * What the local cluster needs before a stack can be put on it. Images, the cluster's own programs and the engine are
 * built at the same time: none of them fills two processors alone.
 */
export function localWork(target: Target, images: string[], engine: Step[] = []): Work[] {
  // kind brings its own registry, without which no image can be given to it.
  if (target.cluster === "kind")
    return [...cluster.kindUpSteps(), { title: "Images", inTurn: ensureImagesByDocker(images) }];
  return [
    ...cluster.registrySteps(),
    {
      title: "Cluster and images",
      together: [
        { title: "Cluster", inTurn: cluster.upSteps() },
        { title: "Images", inTurn: ensureImages(images) },
        ...(engine.length > 0 ? [{ title: "Pulumi", inTurn: engine }] : []),
      ],
    },
  ];
}

/** What the embedded cluster itself runs in pods. */
const ownImages = ["registry.k8s.io/pause:3.10"];

/** Every image that the stack's pods start from, and its charts' and operators' as far as they are told of one. */
export function imagesOf(evaluation: Evaluation): string[] {
  const found = new Set(ownImages);
  for (const { object } of manifests(evaluation)) {
    const spec = object.spec as
      | { template?: KubeObject; jobTemplate?: { spec: { template: KubeObject } }; imageName?: string }
      | undefined;
    // What an operator starts pods from.
    if (spec?.imageName) found.add(spec.imageName);
    const pod = (spec?.template ?? spec?.jobTemplate?.spec.template)?.spec as
      | Record<string, { image: string }[]>
      | undefined;
    for (const { image } of [...(pod?.initContainers ?? []), ...(pod?.containers ?? [])]) found.add(image);
  }
  for (const { type, inputs } of evaluation.resources)
    if (type === chartType) for (const image of told(inputs.values)) found.add(image);
  return [...found];
}

/** The images among a chart's values: blocks with a repository and a tag. */
function told(values: unknown): string[] {
  if (values === null || typeof values !== "object") return [];
  const { repository, tag } = values as { repository?: string; tag?: string };
  return repository && tag ? [`${repository}:${tag}`] : Object.values(values).flatMap(told);
}

async function byApply(
  kube: Kube,
  file: StackFile,
  target: Target,
  evaluation: Evaluation,
  options: UpOptions,
): Promise<void> {
  refuseCharts(
    evaluation,
    "run this where pulumi is on PATH, or install the operator yourself and set cloudnativePg.operator to existing",
  );
  refuseEncrypted(file, "run this where pulumi is on PATH, or name a Secret of your own instead");
  const lines: string[] = [];
  let outcome: Outcome | undefined;
  await show([
    {
      title: `Stack ${file.stack}`,
      run: async (say) => {
        const run = {
          kube,
          stack: file.stack,
          timeout: options.timeout,
          say,
          report: (line: string) => void lines.push(line),
        };
        outcome = await apply(run, (random) => evaluateStack(file, { random, context: target.context }));
      },
    },
  ]);
  const { created, changed, replaced, deleted, unchanged } = outcome!;
  // On a first run everything is new, and the list would only push the table away.
  if (unchanged + changed > 0) for (const line of lines) console.log(`  ${line}`);
  console.log(
    `${created} created, ${changed} changed, ${replaced} replaced, ${deleted} deleted, ${unchanged} unchanged`,
  );
}

async function byPulumi(kube: Kube, file: StackFile, target: Target, evaluation: Evaluation): Promise<void> {
  try {
    let done = "";
    const run = async (say: Say) => {
      done = await (await Pulumi.of(file)).up(target, say);
    };
    await show([{ title: `Stack ${file.stack}`, run }]);
    console.log(done);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const namespaces = new Set(manifests(evaluation).flatMap(({ object }) => object.metadata.namespace ?? []));
    const found = await diagnoseAll(kube, [...namespaces]).catch(() => "");
    throw new UserError(error.message + (found && `\n${found}`));
  }
}
