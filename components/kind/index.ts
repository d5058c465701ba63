import { dirname, posix } from "node:path";
import * as command from "@pulumi/command";
import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { stringify } from "yaml";
import { buildArguments, ownImage } from "../images.ts";
import type { DerivedImage } from "../kit/image.ts";
import { clusterName, kindConfig, kindHosts, type Machine, networkName, registry as settings } from "./cluster.ts";
import { localName, parseReference } from "./reference.ts";

/** What the kind cluster is made from. */
export interface KindArgs {
  /** Facts of this machine that the node's configuration depends on. */
  machine: Machine;
  /** Whether Pulumi protects the cluster, which holds every volume, from deletion and retains it on destroy. */
  protectData: boolean;
}

/**
 * The cluster of a stack with `cluster: kind` and no context, on the machine that runs Pulumi: a kind node, a registry
 * that the node pulls from first, and the platform's own images, which are pushed there and nowhere else.
 */
export class Kind extends pulumi.ComponentResource {
  /** The administrator's kubeconfig. A secret. */
  readonly kubeconfig: pulumi.Output<string>;
  private readonly name: string;
  private readonly registry: docker.Container;
  private readonly images = new Map<string, docker.Image>();

  constructor(name: string, args: KindArgs, opts?: pulumi.ComponentResourceOptions) {
    super("data-platform:index:Kind", name, {}, opts);
    this.name = name;
    const cluster = kindCluster(name, args, { parent: this });
    this.kubeconfig = pulumi.secret(cluster.stdout);
    this.registry = this.registryOf(cluster);
    this.registerOutputs({});
  }

  private registryOf(cluster: pulumi.Resource): docker.Container {
    const child = { parent: this };
    const name = `${this.name}-registry`;
    const image = new docker.RemoteImage(name, { name: settings.image, keepLocally: true }, child);
    // The images survive a replacement of the container.
    const volume = new docker.Volume(name, { name: settings.name }, child);
    return new docker.Container(
      name,
      {
        name: settings.name,
        image: image.imageId,
        restart: settings.restart,
        ports: [{ internal: settings.port, external: settings.published.port, ip: settings.published.address }],
        volumes: [{ volumeName: volume.name, containerPath: "/var/lib/registry" }],
        networksAdvanced: [{ name: networkName }],
      },
      // kind creates the network with its first node. Two containers cannot have the same name and port.
      { ...child, dependsOn: [cluster], deleteBeforeReplace: true },
    );
  }

  /**
   * The reference of one of the platform's own images, or of a derived one, by its digest, so that changed sources change
   * the pods. Builds the image at the first call. Undefined for an image of someone else and for one that has a digest
   * already.
   */
  readonly image = (wanted: string | DerivedImage): pulumi.Output<string> | undefined => {
    const source = typeof wanted === "string" ? sourceOf(wanted) : wanted;
    if (!source) return undefined;
    const image = this.images.get(source.reference) ?? this.build(source);
    this.images.set(source.reference, image);
    return image.repoDigest;
  };

  private build({ reference, folder: context, args }: Source): docker.Image {
    const { path, tag } = parseReference(reference);
    const imageName = localName(reference);
    return new docker.Image(
      `${this.name}-${posix.basename(path)}-${tag}`,
      {
        imageName,
        build: {
          // Relative to the project directory: an absolute path would differ between checkouts.
          context,
          dockerfile: `${context}/Dockerfile`,
          builderVersion: docker.BuilderVersion.BuilderBuildKit,
          // If Docker's own cache is empty, unchanged layers come from the pushed image.
          cacheFrom: { images: [imageName] },
          args: { BUILDKIT_INLINE_CACHE: "1", ...args },
        },
      },
      { parent: this, dependsOn: [this.registry] },
    );
  }
}

/** What an image is built from. */
type Source = Pick<DerivedImage, "reference" | "folder" | "args">;

/** Of one of the platform's own images; undefined for another one. */
function sourceOf(reference: string): Source | undefined {
  const definition = ownImage(reference);
  return definition && { reference, folder: definition.folder, args: buildArguments(definition, reference) };
}

/**
 * The cluster, by the command `kind`; its standard output is the kubeconfig. kind cannot change a cluster in place: a
 * changed configuration replaces it.
 */
export function kindCluster(
  name: string,
  { machine, protectData }: KindArgs,
  child: pulumi.CustomResourceOptions,
): command.local.Command {
  // containerd reads these files at every pull, so a change of them does not replace the cluster.
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
      // Runs if only a command changes: the cluster stays.
      update: `kind get kubeconfig --name ${clusterName}`,
      delete: `kind delete cluster --name ${clusterName}`,
      stdin: config,
      triggers: [config],
      // Keeps the kubeconfig out of the log and out of the environment of later commands.
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

/** Does not touch the user's own kubeconfig. */
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
