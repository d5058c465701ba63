import { existsSync } from "node:fs";
import { execa } from "execa";
import { stringify } from "yaml";
import { type Say, type Step, UserError } from "../step.ts";
import { binary } from "./binaries.ts";
import { writeFiles } from "./host.ts";
import { kindConfig, kindHosts, clusterName as name, networkName, registry, thisMachine } from "./kind-config.ts";
import { kubeconfigPath } from "./layout.ts";

/**
 * The cluster where Docker answers: kind, and a registry in a container that its nodes ask first.
 * Only the pure parts are tested by this repository; its own machines have no Docker.
 */

/** Whether a Docker daemon answers this user. */
export async function dockerAnswers(): Promise<boolean> {
  return !(await execa("docker", ["version", "--format", "{{.Server.Version}}"], { reject: false, timeout: 10_000 }))
    .failed;
}

export function kindUpSteps(): Step[] {
  return [
    {
      title: "Start the image registry in Docker",
      run: async () => {
        if (!(await execa("docker", ["start", registry.name], { reject: false })).failed) return;
        const { published, port, restart, image } = registry;
        const publish = `${published.address}:${published.port}:${port}`;
        await docker("run", "-d", `--restart=${restart}`, "-p", publish, "--name", registry.name, image);
      },
    },
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
        const args = ["create", "cluster", "--config", "-", "--kubeconfig", kubeconfigPath(), "--wait", "180s"];
        await kind(args, { input: stringify(kindConfig(machine)), say });
      },
    },
    {
      title: "Start the kind cluster",
      run: async () => {
        await docker("start", `${name}-control-plane`);
        // It fails where they are connected already.
        await execa("docker", ["network", "connect", networkName, registry.name], { reject: false });
      },
    },
  ];
}

/** kind keeps a cluster's data in its node's container, so an end without `deleteData` only stops the containers. */
export function kindDownSteps({ deleteData }: { deleteData: boolean }): Step[] {
  const containers = [`${name}-control-plane`, registry.name];
  if (!deleteData) return [{ title: "Stop the kind cluster", run: () => docker("stop", ...containers) }];
  return [
    {
      title: "Delete the kind cluster",
      run: async () => {
        await kind(["delete", "cluster", "--name", name, "--kubeconfig", kubeconfigPath()]);
        await docker("rm", "--force", "--volumes", registry.name);
      },
    },
  ];
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
