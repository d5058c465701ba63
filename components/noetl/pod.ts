import type * as pulumi from "@pulumi/pulumi";
import { derived, either, missing, when, whenever } from "../../config/derived.ts";
import { tagOf } from "../../config/images.ts";
import type { Config } from "../../config/schema.ts";
import type { Component } from "../kit/component.ts";
import { files } from "../kit/config.ts";
import type { Connects, Outside } from "../kit/network.ts";
import { type Container, configFiles, limitedAs, scratch, type Volume } from "../kit/pod.ts";
import { setUpScript } from "../kit/set-up.ts";
import type { NoetlArgs } from "./index.ts";
import { applySchema, home, install, newest, source } from "./manifests.ts";
import { sourceClaim } from "./source.ts";
import { port, type StartPlan } from "./versions.ts";

/*
 * What the pods of one instance have in common: server, workers and the Job of the schema.
 */

/** User and group `noetl` of the image. */
export const user = 1000;

/** Volumes of each pod, beside `data` of a StatefulSet. */
export type Volumes = "venv" | "source" | "scripts" | "home" | "tmp";

export interface Shared {
  image: pulumi.Input<string>;
  /** The init container that installs NoETL into the pod's virtual environment. */
  install: Container<Volumes>;
  env: NonNullable<Container<never>["env"]>;
  mounts: NonNullable<Container<Volumes | "data">["mounts"]>;
  volumes: Record<Volumes, Volume>;
  /** Each pod installs NoETL and may use the queue. */
  connects: Connects[];
  outside: (Outside | undefined)[];
  checksums: { scripts: string; queue?: pulumi.Output<string> };
  /** The queue, for versions that use it. */
  ready: pulumi.Resource[];
}

export function sharedPod(component: Component, { config, instance, queue }: NoetlArgs, plan: StartPlan): Shared {
  const image = component.image(
    either(
      config.packageIndex,
      () => config.image,
      () => imageOf(config.image, plan.release),
    ),
  );
  const scripts = files(component, "scripts", {
    "newest.py": newest,
    "apply_schema.py": applySchema,
    ...setUpScript,
  });
  return {
    image,
    install: installer(image, config, instance, plan.version),
    env: {
      NOETL_SERVER_URL: `http://${component.host()}:${port}`,
      HOME: `${home}/home`,
      PYTHONUNBUFFERED: "1",
      ...(plan.needs.nats && {
        NATS_URL: queue.url,
        NATS_USER: queue.username,
        NATS_PASSWORD: queue.password,
        NATS_STREAM: "NOETL_COMMANDS",
        NATS_CONSUMER: "noetl_worker_pool",
        NATS_SUBJECT: "noetl.commands",
      }),
    },
    mounts: {
      [`${home}/venv`]: { volume: "venv", readOnly: true },
      [`${home}/home`]: "home",
      [`${home}/data`]: { volume: "data", subPath: "data" },
      [`${home}/logs`]: { volume: "data", subPath: "logs" },
      "/tmp": "tmp",
      "/etc/noetl": "scripts",
      [source]: { volume: "source", readOnly: true },
    },
    volumes: {
      // For the dependencies of a package that the image lacks.
      venv: scratch({ size: "2Gi" }),
      home: scratch({ size: "64Mi" }),
      tmp: scratch({ size: "1Gi" }),
      scripts: configFiles(scripts.name),
      source: instance.path
        ? { persistentVolumeClaim: { claimName: sourceClaim(component, instance.path) } }
        : scratch({ size: "1Mi" }),
    },
    // Its own server too, whose address each pod has.
    connects: [component.serves("server", ["http"]), ...(plan.needs.nats ? [queue] : [])],
    outside: [whenever(config.packageIndex, (url) => ({ what: "package index", url }))],
    checksums: { scripts: scripts.checksum, ...(plan.needs.nats && { queue: queue.revision }) },
    ready: plan.needs.nats ? queue.ready : [],
  };
}

/** An init container, so that no probe kills a slow installation. The virtual environment is a volume of the pod. */
function installer(
  image: pulumi.Input<string>,
  { packageIndex, server }: Config["noetl"],
  instance: NoetlArgs["instance"],
  version: string,
): Container<Volumes> {
  const { cpu } = server.resources.requests;
  return {
    image,
    command: ["sh", "-eu", "-c", install(instance, version, packageIndex)],
    env: {
      ...when(packageIndex, (index) => ({ PIP_INDEX_URL: index })),
      ...when(missing(packageIndex), () => ({ PIP_NO_INDEX: "1" })),
      PIP_NO_CACHE_DIR: "1",
      PIP_DISABLE_PIP_VERSION_CHECK: "1",
      HOME: "/tmp",
    },
    resources: limitedAs(server.resources, { requests: { cpu, memory: "64Mi" }, limits: { memory: "512Mi" } }),
    mounts: {
      [`${home}/venv`]: "venv",
      "/tmp": "tmp",
      "/etc/noetl": "scripts",
      [source]: { volume: "source", readOnly: true },
    },
  };
}

/** The image with a version: the configured one, with its tag replaced by the version if the tag is of another version. */
const imageOf = derived("imageOf", (image: string, version: string): string => {
  const tag = tagOf(image);
  return tag === version || tag.startsWith(`${version}-`)
    ? image
    : image.replace(/(:[^:/@]+)?(@[^@]+)?$/, `:${version}`);
});
