import { setTimeout as sleep } from "node:timers/promises";
import { derivedImages } from "../components/images.ts";
import type { DerivedImage } from "../components/kit/image.ts";
import type { Kube } from "../kube/client.ts";
import { diagnoseAll, hide, secretsIn } from "../kube/diagnose.ts";
import * as cluster from "../local/cluster/index.ts";
import { derivedImageStep } from "../local/images/derived.ts";
import { ensureImages, ensureImagesByDocker } from "../local/images/index.ts";
import { type Say, type Step, UserError } from "../local/step.ts";
import type { Evaluation } from "../render/evaluate.ts";
import { imagesIn } from "../render/images.ts";
import { manifests } from "../render/manifests.ts";
import { adopt, adoptedNoLonger, leftLine } from "./adopted.ts";
import { stateOf } from "./backend.ts";
import { counted, done, linesOf } from "./changes.ts";
import type { Target } from "./choose.ts";
import { componentStates, componentTable, pageLinks } from "./component-states.ts";
import { type Deployed, ofProgram } from "./deployed.ts";
import { findPulumi, pulumiSteps } from "./engine.ts";
import { preflight } from "./preflight.ts";
import { type Progress, withoutPods } from "./progress.ts";
import { configOf, evaluateRedacted, stackFile } from "./project.ts";
import { Pulumi, UpdateFailed } from "./pulumi.ts";
import { refuseLosses, refuseResizes } from "./refusals.ts";
import { show, type Work } from "./show.ts";
import { connect, isLocal, nameOf, targetOf } from "./target.ts";

export interface UpOptions {
  stack: string;
  context?: string;
  configFile?: string;
}

export async function up(options: UpOptions): Promise<void> {
  const file = stackFile(options.stack, options.configFile);
  // Before anything is started: a wrong configuration is refused in a second, not after the cluster is up.
  const evaluation = await evaluateRedacted(file, options.context);
  const target = await targetOf(file, options.context);
  const found = await findPulumi();
  console.log(`cluster: ${nameOf(target)} (${target.why})`);
  console.log(`engine: Pulumi, ${found}`);
  const engine = pulumiSteps(found);
  // A mirror has all images of the stack.
  const config = configOf(file);
  const derived = config.global.imageRegistry ? [] : derivedImages(config);
  if (isLocal(target)) await show(localWork(target, imagesOf(evaluation), engine, wantedBy(evaluation), derived));
  else if (engine.length > 0) await show(engine);

  const kube = await connect(target);
  const state = await stateOf(file);
  const left = await adoptedNoLonger(kube, file, evaluation, state);
  const exclude = left.map(({ urn }) => urn);
  refuseLosses(file, state, evaluation, exclude);
  refuseResizes(file, state, evaluation);
  const adopted = await preflight(kube, file, evaluation, state);
  const pulumi = await Pulumi.open(file, target, { state, kube, adopts: adopted.length > 0 });
  await adopt(kube, adopted);
  let progress: Progress | undefined;
  const run = async (say: Say) => {
    progress = await pulumi.up(evaluation.resources.length, say, exclude);
  };
  await show([{ title: `Stack ${file.stack}`, run }]).catch(async (error) => {
    throw await withDiagnosis(kube, evaluation, error);
  });
  for (const namespace of left) console.log(leftLine(namespace));
  if (progress) report(progress);

  const components = await settled(kube, target, ofProgram(evaluation));
  const { objects } = ofProgram(evaluation);
  console.log(`\n${componentTable(components, options)}${pageLinks(objects)}`);
  const down = components.filter(({ ready }) => !ready);
  if (down.length > 0) throw new UserError(`not ready: ${down.map(({ name }) => name).join(", ")}`);
}

/** Prints what was done. On a first run without the list, since everything is new. */
function report({ counts, changes, warnings }: Progress): void {
  for (const warning of warnings) console.log(`warning: ${warning}`);
  const objects = changes.filter(({ fate }) => fate !== "create" || counts.same || counts.update);
  for (const line of objects.flatMap((change) => linesOf(change, done))) console.log(`  ${line}`);
  console.log(counted(counts, done));
}

/** The failure with a diagnosis of the objects that did not become ready. */
async function withDiagnosis(kube: Kube, evaluation: Evaluation, error: unknown): Promise<unknown> {
  const [failure] = error instanceof AggregateError ? error.errors : [error];
  if (!(failure instanceof UpdateFailed)) return error;
  const namespaces = new Set(manifests(evaluation).flatMap(({ object }) => object.metadata.namespace ?? []));
  try {
    const secrets = await secretsIn(kube, [...namespaces]);
    const found = await diagnoseAll(kube, failure.progress.failed, secrets);
    const message = hide(failure.message, secrets);
    return new UserError(found ? `${withoutPods(message, "see below")}\n${found}` : message);
  } catch {
    // Without the Secrets, passwords in logs cannot be hidden, so logs are not shown.
    return new UserError(withoutPods(failure.message, "not shown: it may have passwords, and no Secret can be read"));
  }
}

/** How long components may take to become ready after the engine has finished, in seconds. */
const settling = 600;

/**
 * The state of the components when all are ready or the time is up. Pulumi considers a Deployment ready while its only
 * pod is being replaced, if its strategy allows that pod to be unavailable.
 */
async function settled(kube: Kube, target: Target, deployed: Deployed) {
  let components = await componentStates(kube, target, deployed);
  const waiting = () => components.filter(({ ready }) => !ready).map(({ name, state }) => `${name} (${state})`);
  if (waiting().length > 0)
    await show([
      {
        title: "Wait until every component is ready",
        run: async (say) => {
          for (const deadline = Date.now() + settling * 1000; waiting().length > 0 && Date.now() < deadline; ) {
            say(waiting().join(", "));
            await sleep(2_000);
            components = await componentStates(kube, target, deployed);
          }
        },
      },
    ]);
  return components;
}

/**
 * The work before a stack can be deployed to the local cluster. Images, the cluster's binaries and the engine are built
 * in parallel: none of them uses two processors alone.
 */
export function localWork(
  target: Target,
  images: string[],
  engine: Step[] = [],
  { frontDoor = false, metrics = false }: Wanted = {},
  derived: DerivedImage[] = [],
): Work[] {
  const others = images.filter((image) => !derived.some(({ reference }) => reference === image));
  const own = derived.map((image) => derivedImageStep(image, target.cluster === "kind"));
  const pulumi = engine.length > 0 ? [{ title: "Pulumi", inTurn: engine }] : [];
  // The images are pushed to kind's own registry, so the cluster comes first.
  if (target.cluster === "kind") {
    const all = [...cluster.kindUpSteps(), { title: "Images", inTurn: [...ensureImagesByDocker(others), ...own] }];
    return pulumi.length > 0
      ? [{ title: "Cluster and images", together: [{ title: "Cluster", inTurn: all }, ...pulumi] }]
      : all;
  }
  return [
    ...cluster.registrySteps(),
    {
      title: "Cluster and images",
      together: [
        { title: "Cluster", inTurn: [...cluster.upSteps({ metrics }), ...(frontDoor ? cluster.frontDoorSteps() : [])] },
        { title: "Images", inTurn: [...ensureImages(others), ...own] },
        ...pulumi,
      ],
    },
  ];
}

/** What a stack wants of the embedded cluster that not every stack does. */
interface Wanted {
  /** Pages that a browser reaches by name. */
  frontDoor?: boolean;
  /** How much CPU pods use, for autoscalers. */
  metrics?: boolean;
}

export function wantedBy(evaluation: Evaluation): Wanted {
  const kinds = new Set(manifests(evaluation).map(({ object }) => object.kind));
  return { frontDoor: kinds.has("Ingress") || kinds.has("HTTPRoute"), metrics: kinds.has("HorizontalPodAutoscaler") };
}

/** Images of the embedded cluster itself. */
const ownImages = ["registry.k8s.io/pause:3.10"];

/** Every image that the local cluster needs for the stack. */
export const imagesOf = (evaluation: Evaluation): string[] => [
  ...new Set([...ownImages, ...imagesIn(evaluation).keys()]),
];
