import { existsSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import { stringify } from "yaml";
import {
  kindConfig,
  kindHosts,
  clusterName as name,
  networkName,
  packagedNode,
  registry,
  registryConfig,
  thisMachine,
} from "../../components/kind/cluster.ts";
import { localName } from "../../components/kind/reference.ts";
import { ensureImages } from "../images/index.ts";
import { answers, canBePulled } from "../images/mode.ts";
import { run } from "../images/run.ts";
import { type Say, type Step, UserError } from "../step.ts";
import { binary } from "./binaries.ts";
import { writeFiles } from "./host.ts";
import { dir, kubeconfigPath } from "./layout.ts";
import { checkFree } from "./ports.ts";

/** The cluster where Docker answers: kind, and a registry in a container that its nodes ask first. */

/** Whether a Docker daemon answers this user. */
export async function dockerAnswers(): Promise<boolean> {
  return !(await execa("docker", ["version", "--format", "{{.Server.Version}}"], { reject: false, timeout: 10_000 }))
    .failed;
}

/** The node's container. */
const node = `${name}-control-plane`;

/** Everything from an empty Docker to a node that is ready, with a registry that serves it images. */
export function kindUpSteps(): Step[] {
  return [
    {
      title: "Image of the registry, in Docker",
      skip: async () => {
        if (await canBePulled(registry.image)) return "comes from docker.io";
        return (await has("image", localName(registry.image))) && "in Docker";
      },
      run: importRegistry,
    },
    {
      title: "Start the image registry in Docker",
      run: async () => {
        // The node first: addresses are given out in the order of starting, and it has certificates for its own.
        if (await has("container", node)) await docker("start", node);
        const { published, port, restart, image } = registry;
        if ((await container(registry.name, "{{.State.Running}}")) !== "true")
          await checkFree("the image registry", [[published.address, published.port]]);
        if (await has("container", registry.name)) await docker("start", registry.name);
        else {
          const publish = `${published.address}:${published.port}:${port}`;
          const from = (await canBePulled(image)) ? image : localName(image);
          await docker("run", "-d", `--restart=${restart}`, "-p", publish, "--name", registry.name, from);
        }
        await registryAnswers();
      },
    },
    ...ensureImages([packagedNode]),
    {
      title: "Create the kind cluster",
      skip: async () => {
        if (!(await kind(["get", "clusters"])).split("\n").includes(name)) return false;
        if (existsSync(kubeconfigPath())) return "exists already";
        throw new UserError(
          `kind has a cluster ${name} that this command did not make, or not to its end: --context kind-${name} uses it, ` +
            `and \`kind delete cluster --name ${name}\` takes it away`,
        );
      },
      run: async (say) => {
        const machine = thisMachine();
        await writeFiles(
          kindHosts().map(({ path, content }) => ({ path: `${machine.certs}/${path}`, content, mode: 0o644 })),
        );
        const image = (await canBePulled(packagedNode)) ? undefined : localName(packagedNode);
        const args = ["create", "cluster", "--config", "-", "--kubeconfig", kubeconfigPath(), "--wait", "180s"];
        await kind(args, { input: stringify(kindConfig(machine, image)), say });
      },
    },
    {
      title: "Start the kind cluster",
      run: async () => {
        await docker("start", node);
        // It fails where they are connected already.
        await execa("docker", ["network", "connect", networkName, registry.name], { reject: false });
        await clusterAnswers();
      },
    },
  ];
}

/** kind keeps a cluster's data in its node's container, so an end without `deleteData` only stops the containers. */
export function kindDownSteps({ deleteData }: { deleteData: boolean }): Step[] {
  if (!deleteData) return [{ title: "Stop the kind cluster", run: () => docker("stop", node, registry.name) }];
  return [
    {
      title: "Delete the kind cluster",
      run: async () => {
        await kind(["delete", "cluster", "--name", name, "--kubeconfig", kubeconfigPath()]);
        await docker("rm", "--force", "--volumes", registry.name);
        // Not what an embedded cluster has beside it.
        for (const one of [dir("kind"), kubeconfigPath()]) await rm(one, { recursive: true, force: true });
      },
    },
  ];
}

/** The registry's own image where no other registry has it: its program alone, by the official image's paths. */
async function importRegistry(say: Say): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), "data-platform-registry-"));
  try {
    await writeFiles([
      { path: join(root, "etc", "distribution", "config.yml"), content: stringify(registryConfig), mode: 0o644 },
    ]);
    await mkdir(join(root, "bin"));
    await copyFile(await binary("registry", say), join(root, "bin", "registry"));
    const changes = [
      'ENTRYPOINT ["/bin/registry"]',
      'CMD ["serve", "/etc/distribution/config.yml"]',
      `VOLUME ${registryConfig.storage.filesystem.rootdirectory}`,
      "ENV OTEL_TRACES_EXPORTER=none",
    ].map((change) => `--change=${change}`);
    const archive = join(root, "rootfs.tar");
    await run(say, ["tar", "--create", "--file", archive, "--directory", root, "bin", "etc"]);
    await docker("import", ...changes, archive, localName(registry.image));
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

/** Until it does: what comes next pushes to it. */
async function registryAnswers(): Promise<void> {
  const { address, port } = registry.published;
  for (const deadline = Date.now() + 30_000; !(await answers(`http://${address}:${port}`)); await sleep(200))
    if (Date.now() > deadline)
      throw new UserError(
        `The image registry did not answer on ${address}:${port} within 30 s: see \`docker logs ${registry.name}\``,
      );
}

/**
 * Waits until the API server reports the present state. Just after a start it does not know its administrator's rights. In
 * a cluster that was stopped, pods keep their old status until kubelet reports, and Deployments until the controllers work.
 */
async function clusterAnswers(): Promise<void> {
  const started = new Date((await container(node, "{{.State.StartedAt}}")) ?? 0);
  const get = async (...args: string[]) => {
    const kubectl = ["exec", node, "kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "get", ...args];
    const { failed, stdout, stderr } = await execa("docker", kubectl, { reject: false });
    if (failed) throw new Error(stderr.split("\n").at(-1));
    return stdout;
  };
  const lease = ["lease", "kube-controller-manager", "--namespace=kube-system", "--output=jsonpath={.spec.renewTime}"];
  const whatIsMissing = async (): Promise<string | undefined> => {
    await get("--raw=/readyz");
    if (!(new Date(await get(...lease)) > started)) return "its controllers do not work yet";
    const pods = JSON.parse(await get("pods", "--all-namespaces", "--output=json")) as PodList;
    const old = runningSinceBefore(pods, started);
    return old.length > 0 ? `it knows nothing new of ${old.join(", ")}` : undefined;
  };
  for (const deadline = Date.now() + 120_000; ; await sleep(500)) {
    const missing = await whatIsMissing().catch((error: Error) => error.message);
    if (missing === undefined) return;
    if (Date.now() > deadline)
      throw new UserError(`The kind cluster did not start within 2 minutes (see \`docker logs ${node}\`): ${missing}`);
  }
}

/** The pods of a list that are said to run since before a node was started: none of them can. */
export function runningSinceBefore({ items }: PodList, started: Date): string[] {
  // A pod's times are in whole seconds.
  const limit = Math.floor(started.getTime() / 1000) * 1000;
  const isOld = ({ state }: ContainerStatus) => Date.parse(state?.running?.startedAt ?? "") < limit;
  return items
    .filter(({ status }) => status?.containerStatuses?.some(isOld))
    .map(({ metadata }) => `${metadata.namespace}/${metadata.name}`);
}

interface ContainerStatus {
  state?: { running?: { startedAt?: string } };
}
interface PodList {
  items: { metadata: { name: string; namespace: string }; status?: { containerStatuses?: ContainerStatus[] } }[];
}

/** Whether Docker has an image or a container of this name. */
const has = async (what: "image" | "container", name: string): Promise<boolean> =>
  !(await execa("docker", [what, "inspect", name], { reject: false })).failed;

/** What Docker says of a container; undefined if there is none. */
async function container(name: string, format: string): Promise<string | undefined> {
  const { failed, stdout } = await execa("docker", ["container", "inspect", `--format=${format}`, name], {
    reject: false,
  });
  return failed ? undefined : stdout;
}

async function docker(...args: string[]): Promise<void> {
  const { failed, stderr } = await execa("docker", args, { reject: false });
  if (failed) throw new UserError(`\`docker ${args[0]}\` failed:\n${stderr}`);
}

/** kind from PATH, or built from its Go module. */
async function kind(args: string[], { input, say = () => {} }: { input?: string; say?: Say } = {}): Promise<string> {
  const onPath = !(await execa("kind", ["version"], { reject: false })).failed;
  const command = onPath ? "kind" : await binary("kind", say);
  const child = execa(command, args, { input, reject: false });
  for await (const line of child.iterable({ from: "stderr" })) say(line);
  const { failed, stdout, stderr } = await child;
  if (failed) throw new UserError(`\`kind ${args[0]} ${args[1]}\` failed:\n${stderr}`);
  return stdout;
}
