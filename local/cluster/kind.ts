import { homedir } from "node:os";
import { execa } from "execa";
import { stringify } from "yaml";
import { type Say, type Step, UserError } from "../step.ts";
import { binary } from "./binaries.ts";
import { registryHosts } from "./configs.ts";
import { writeFiles } from "./host.ts";
import { dir, kubeconfigPath, ports } from "./layout.ts";

/**
 * The cluster where Docker answers: kind, and a registry in a container that its nodes ask first.
 * Only the pure parts are tested by this repository; its own machines have no Docker.
 */
const name = "data-platform";
const registryName = `${name}-registry`;
const hostsDir = (): string => dir("kind", "certs.d");

/** Whether a Docker daemon answers this user. */
export async function dockerAnswers(): Promise<boolean> {
  return !(await execa("docker", ["version", "--format", "{{.Server.Version}}"], { reject: false, timeout: 10_000 }))
    .failed;
}

/**
 * kind's configuration: one node, which looks images up as the directory `certs` of this machine says, and sees the
 * user's `home` at its own path, so that a checkout there can be run from.
 */
export const kindConfig = (certs: string, home: string) => ({
  kind: "Cluster",
  apiVersion: "kind.x-k8s.io/v1alpha4",
  name,
  // Node images since kind 0.27 look there anyway.
  containerdConfigPatches: [
    '[plugins."io.containerd.grpc.v1.cri".registry]\n  config_path = "/etc/containerd/certs.d"\n',
  ],
  nodes: [
    {
      role: "control-plane",
      extraMounts: [
        { hostPath: certs, containerPath: "/etc/containerd/certs.d", readOnly: true },
        { hostPath: home, containerPath: home, readOnly: true },
      ],
    },
  ],
});

/** The files of that directory. A node reaches the registry by its container's name. */
export const kindHosts = () => registryHosts(`http://${registryName}:5000`);

export function kindUpSteps(): Step[] {
  return [
    {
      title: "Start the image registry in Docker",
      run: async () => {
        if (!(await execa("docker", ["start", registryName], { reject: false })).failed) return;
        const publish = `127.0.0.1:${ports.registry}:5000`;
        await docker("run", "-d", "--restart=unless-stopped", "-p", publish, "--name", registryName, "registry:3");
      },
    },
    {
      title: "Create the kind cluster",
      skip: async () => (await kind(["get", "clusters"])).split("\n").includes(name) && "exists already",
      run: async (say) => {
        await writeFiles(
          kindHosts().map(({ path, content }) => ({ path: `${hostsDir()}/${path}`, content, mode: 0o644 })),
        );
        const args = ["create", "cluster", "--config", "-", "--kubeconfig", kubeconfigPath(), "--wait", "180s"];
        await kind(args, { input: stringify(kindConfig(hostsDir(), homedir())), say });
      },
    },
    {
      title: "Start the kind cluster",
      run: async () => {
        await docker("start", `${name}-control-plane`);
        // It fails where they are connected already.
        await execa("docker", ["network", "connect", "kind", registryName], { reject: false });
      },
    },
  ];
}

/** kind keeps a cluster's data in its node's container, so an end without `deleteData` only stops the containers. */
export function kindDownSteps({ deleteData }: { deleteData: boolean }): Step[] {
  const containers = [`${name}-control-plane`, registryName];
  if (!deleteData) return [{ title: "Stop the kind cluster", run: () => docker("stop", ...containers) }];
  return [
    {
      title: "Delete the kind cluster",
      run: async () => {
        await kind(["delete", "cluster", "--name", name, "--kubeconfig", kubeconfigPath()]);
        await docker("rm", "--force", "--volumes", registryName);
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
