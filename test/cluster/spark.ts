// The application of docs/spark.md, for the tests that run it.
import { readFileSync } from "node:fs";
import { vi } from "vitest";
import { parseAllDocuments } from "yaml";
import type { KubeObject } from "../../render/manifests.ts";
import { bucketKeys, kube, whole } from "./kit.ts";

/** Its objects, under another name. Default namespace: that of the stack with every component. */
export async function application(name: string, namespace = whole.apps): Promise<KubeObject[]> {
  const [, text] = /```yaml\n([\s\S]*?)```/.exec(readFileSync("docs/spark.md", "utf8"))!;
  const here = text!
    .replaceAll("test-apps", namespace)
    .replaceAll("minio-platform,", `${(await bucketKeys("spark", namespace)).secret},`)
    .replaceAll("name: numbers", `name: ${name}`)
    .replaceAll('appName("numbers")', `appName("${name}")`);
  return parseAllDocuments(here).map((document) => document.toJS() as KubeObject);
}

const driverOf = async (job: string, namespace: string) =>
  (await kube().list("v1", "Pod", namespace, { labelSelector: `job-name=${job}` }))[0];

/** The log of a Job's driver. */
export async function output(job: string, namespace = whole.apps): Promise<string> {
  const pod = await driverOf(job, namespace);
  return pod ? kube().log({ ...pod, apiVersion: "v1", kind: "Pod" }, { container: "driver", lines: 2_000 }) : "";
}

/** Waits until a Job's driver has ended. Returns its log. */
export const ended = (job: string, namespace = whole.apps): Promise<string> =>
  vi.waitFor(
    async () => {
      const pod = await driverOf(job, namespace);
      const text = await output(job, namespace);
      if (!["Succeeded", "Failed"].includes(String(pod?.status?.phase))) throw new Error(`it still runs:\n${text}`);
      return text;
    },
    { timeout: 300_000, interval: 1_000 },
  );
