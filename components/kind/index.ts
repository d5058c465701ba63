import { dirname, posix } from "node:path";
import * as command from "@pulumi/command";
import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { stringify } from "yaml";
import {
  clusterName,
  kindConfig,
  kindHosts,
  type Machine,
  networkName,
  registry as settings,
} from "../../local/cluster/kind-config.ts";
import { localName, parseReference } from "../../local/images/reference.ts";
import { buildArguments, ownImage } from "../images.ts";
import type { ImageDefinition } from "../kit/image.ts";

/**
 * The cluster of a stack that says `cluster: kind` and names none, on the machine that Pulumi runs on: kind's one node,
 * the registry that the node asks first, and in that the platform's own images, which no other registry has.
 */
export class Kind extends pulumi.ComponentResource {
  /** The cluster's administrator's. A secret. */
  readonly kubeconfig: pulumi.Output<string>;
  private readonly name: string;
  private readonly registry: docker.Container;
  private readonly images = new Map<string, docker.Image>();

  /** With `protectData` the cluster, which holds every volume, refuses to be deleted and outlives its resource. */
  constructor(name: string, args: { machine: Machine; protectData: boolean }, opts?: pulumi.ComponentResourceOptions) {
    super("data-platform:index:Kind", name, {}, opts);
    this.name = name;
    const child = { parent: this };

    const cluster = kindCluster(name, args, child);
    this.kubeconfig = pulumi.secret(cluster.stdout);

    // Its volume keeps what pods may yet pull when the container is replaced.
    const image = new docker.RemoteImage(`${name}-registry`, { name: settings.image, keepLocally: true }, child);
    const volume = new docker.Volume(`${name}-registry`, { name: settings.name }, child);
    this.registry = new docker.Container(
      `${name}-registry`,
      {
        name: settings.name,
        image: image.imageId,
        restart: settings.restart,
        ports: [{ internal: settings.port, external: settings.published.port, ip: settings.published.address }],
        volumes: [{ volumeName: volume.name, containerPath: "/var/lib/registry" }],
        networksAdvanced: [{ name: networkName }],
      },
      // The network is there once kind has made a node. Two containers cannot have one name and one port.
      { ...child, dependsOn: [cluster], deleteBeforeReplace: true },
    );
    this.registerOutputs({});
  }

  /**
   * What pods name in place of `reference`: the digest of what its Dockerfile came to, so that another source is another
   * image. It is built when it is first asked for. Undefined for an image that is someone else's or pinned already.
   */
  readonly image = (reference: string): pulumi.Output<string> | undefined => {
    const definition = ownImage(reference);
    if (!definition) return undefined;
    const image = this.images.get(reference) ?? this.build(reference, definition);
    this.images.set(reference, image);
    return image.repoDigest;
  };

  private build(reference: string, definition: ImageDefinition): docker.Image {
    const { path, tag } = parseReference(reference);
    // Seen from where Pulumi runs, which is the same for everyone: an absolute path would differ between checkouts.
    const context = definition.folder;
    const imageName = localName(reference);
    return new docker.Image(
      `${this.name}-${posix.basename(path)}-${tag}`,
      {
        imageName,
        build: {
          context,
          dockerfile: `${context}/Dockerfile`,
          builderVersion: docker.BuilderVersion.BuilderBuildKit,
          // Where Docker's own cache was emptied, unchanged layers come from what was pushed.
          cacheFrom: { images: [imageName] },
          args: { BUILDKIT_INLINE_CACHE: "1", ...buildArguments(definition, reference) },
        },
      },
      { parent: this, dependsOn: [this.registry] },
    );
  }
}

/**
 * kind's cluster by kind's own commands; what it prints is the kubeconfig. It cannot be changed in place: another
 * configuration is another cluster.
 */
export function kindCluster(
  name: string,
  { machine, protectData }: { machine: Machine; protectData: boolean },
  child: pulumi.CustomResourceOptions,
): command.local.Command {
  // Nodes look there at every pull, so a change of these files needs no other cluster.
  const hosts = new command.local.Command(
    `${name}-hosts`,
    { create: writeHosts(), delete: 'rm -rf "$CERTS"', environment: { CERTS: machine.certs } },
    child,
  );
  const config = stringify(kindConfig(machine));
  return new command.local.Command(
    `${name}-cluster`,
    {
      create: createCluster,
      // Where only these words change, the cluster stays.
      update: `kind get kubeconfig --name ${clusterName}`,
      delete: `kind delete cluster --name ${clusterName}`,
      stdin: config,
      triggers: [config],
      // The kubeconfig opens the cluster: into no log, and into no environment of a later command.
      logging: command.local.Logging.None,
      addPreviousOutputInEnv: false,
    },
    {
      ...child,
      dependsOn: [hosts],
      protect: protectData,
      retainOnDelete: protectData,
      deleteBeforeReplace: true,
      additionalSecretOutputs: ["stdout"],
    },
  );
}

/** The user's own kubeconfig stays as it is. */
const createCluster = `
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
kind create cluster --config - --kubeconfig "$folder/kubeconfig" --wait 180s >&2
cat "$folder/kubeconfig"
`.trim();

const writeHosts = (): string =>
  [
    "set -eu",
    ...kindHosts().map(({ path, content }) => {
      const file = `"$CERTS/${path}"`;
      return `mkdir -p "$CERTS/${dirname(path)}"\nprintf %s '${content}' > ${file}`;
    }),
  ].join("\n");
