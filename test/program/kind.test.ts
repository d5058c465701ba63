// Proves what the program registers if it creates the kind cluster: resources, options, secrets, image digests; and
// that no other stack has them.
// Does not prove that Docker and kind carry it out.
import { beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { clusterName, kindConfig, thisMachine } from "../../components/kind/cluster.ts";
import program from "../../index.ts";
import { type Evaluation, evaluate, type Made, type Resource, seeded } from "../../render/evaluate.ts";
import { manifests } from "../../render/manifests.ts";
import { readStack } from "../../render/stack.ts";

type Values = Record<string, Record<string, unknown>>;

const digest = (name: string) => `localhost:5001/data-platform/${name}@sha256:${name.length.toString().repeat(64)}`;
const nameOf = (imageName: unknown) => /data-platform\/([\w-]+):/.exec(String(imageName))![1]!;

const docker: Made = ({ type, inputs }) => {
  if (type === "docker:index/image:Image") return { repoDigest: digest(nameOf(inputs.imageName)) };
  if (type === "docker:index/remoteImage:RemoteImage") return { imageId: "sha256:registry" };
  if (type === "command:local:Command") return { stdout: "a kubeconfig" };
  return {};
};

/** The stack `test` as Pulumi's engine evaluates it: without an existing cluster. */
async function evaluated(options: { changes?: Values; context?: string; made?: Made; preview?: boolean } = {}) {
  const { config, project } = readStack(".", "test");
  for (const [part, values] of Object.entries({ global: { cluster: "kind" }, ...options.changes }))
    config[`${project}:${part}`] = { ...(config[`${project}:${part}`] as object), ...values };
  if (options.context) config["kubernetes:context"] = options.context;
  const { made = docker, preview } = options;
  return evaluate({ program: () => program(), stack: "test", config, random: seeded("kind"), made, preview });
}

/** Resources of the cluster: Docker's, commands and the component Kind. */
const machinery = ({ resources }: Evaluation) =>
  resources.filter(({ type }) => /^(docker|command):|:Kind$/.test(type)).map(({ type, name }) => `${type} ${name}`);

const one = ({ resources }: Evaluation, type: string, name: string) =>
  resources.find((resource) => resource.type.endsWith(`:${type}`) && resource.name === name) as Resource;

const objects = (evaluation: Evaluation) => manifests(evaluation).map(({ object }) => object);

/** Every image of the pods. */
const imagesOf = (evaluation: Evaluation) => [
  ...new Set([...JSON.stringify(objects(evaluation)).matchAll(/"image":"([^"]+)"/g)].map(([, image]) => image!)),
];

describe("a stack with cluster: kind and no context", () => {
  let made: Evaluation;
  beforeAll(async () => {
    made = await evaluated();
  });

  it("creates the cluster, the registry and each of the platform's own images in the stack, under one component", () => {
    expect(machinery(made).sort()).toEqual([
      "command:local:Command kind-cluster",
      "command:local:Command kind-hosts",
      "data-platform:index:Kind kind",
      "docker:index/container:Container kind-registry",
      "docker:index/image:Image kind-deployd-1.0.0",
      "docker:index/image:Image kind-flink-2.3.0",
      "docker:index/image:Image kind-noetl-4.26.0",
      "docker:index/image:Image kind-polls-1.0.0",
      "docker:index/image:Image kind-spark-4.1.4",
      "docker:index/image:Image kind-superset-6.1.0",
      "docker:index/image:Image kind-web-app-1.0.0",
      "docker:index/remoteImage:RemoteImage kind-registry",
      "docker:index/volume:Volume kind-registry",
    ]);
    const kind = one(made, "Kind", "kind");
    expect(kind.inputs).toEqual({});
    for (const { type, options } of made.resources)
      if (/^(docker|command):/.test(type)) expect(options.parent).toBe(kind.urn);
  });

  it("creates it from the configuration that ./platform uses, and replaces it only if that changes", () => {
    const { inputs, options } = one(made, "Command", "kind-cluster");
    expect(parse(inputs.stdin as string)).toEqual(kindConfig(thisMachine()));
    expect(inputs.triggers).toEqual([inputs.stdin]);
    expect(inputs.create).toContain("kind create cluster --config -");
    expect(inputs.update).toBe(`kind get kubeconfig --name ${clusterName}`);
    expect(inputs.delete).toBe(`kind delete cluster --name ${clusterName}`);
    expect(options).toMatchObject({ deleteBeforeReplace: true, protect: false, retainOnDelete: false });
  });

  it("keeps the kubeconfig secret, and creates every object in its cluster", () => {
    const cluster = one(made, "Command", "kind-cluster");
    expect(cluster.options.secretOutputs).toEqual(["stdout"]);
    expect(cluster.inputs).toMatchObject({ logging: "none", addPreviousOutputInEnv: false });
    const provider = one(made, "kubernetes", "kubernetes");
    expect(provider.inputs).toMatchObject({ kubeconfig: "a kubeconfig" });
    expect(provider.inputs).not.toHaveProperty("context");
    expect(provider.secrets).toEqual(["kubeconfig"]);
    expect(provider.options.dependencies).toEqual([cluster.urn]);
  });

  it("protects the cluster if it protects data, since it holds the volumes", async () => {
    const kept = await evaluated({ changes: { global: { cluster: "kind", protectData: true } } });
    expect(one(kept, "Command", "kind-cluster").options).toMatchObject({ protect: true, retainOnDelete: true });
    expect(one(kept, "Container", "kind-registry").options).toMatchObject({ protect: false, retainOnDelete: false });
  });

  it("creates the registry at the address that ./platform uses, in the cluster's network, which is created first", () => {
    const { inputs, options } = one(made, "Container", "kind-registry");
    expect(inputs).toEqual({
      name: "data-platform-registry",
      image: "sha256:registry",
      restart: "unless-stopped",
      ports: [{ internal: 5000, external: 5001, ip: "127.0.0.1" }],
      volumes: [{ volumeName: "data-platform-registry", containerPath: "/var/lib/registry" }],
      networksAdvanced: [{ name: "kind" }],
    });
    expect(options.dependencies).toContain(one(made, "Command", "kind-cluster").urn);
    expect(options.deleteBeforeReplace).toBe(true);
    expect(one(made, "RemoteImage", "kind-registry").inputs.name).toMatch(/^registry:\d+\.\d+\.\d+$/);
  });

  it("writes the nodes' registry configuration before the cluster is created", () => {
    const hosts = one(made, "Command", "kind-hosts");
    expect(hosts.inputs.environment).toEqual({ CERTS: thisMachine().certs });
    expect(one(made, "Command", "kind-cluster").options.dependencies).toEqual([hosts.urn]);
  });

  it("builds Airflow's image with the stack's Python packages, and names it by digest", async () => {
    const own = await evaluated({
      changes: { airflow: { packages: ["pandas==2.3.3", "apache-airflow-providers-http==5.4.0"] } },
    });
    const { inputs } = own.resources.find(({ name }) => name.startsWith("kind-airflow-3.3.2-")) as Resource;
    expect(inputs.build).toMatchObject({
      context: "components/airflow/images/airflow-packages",
      args: { AIRFLOW: "apache/airflow:3.3.2", PACKAGES: "apache-airflow-providers-http==5.4.0 pandas==2.3.3" },
    });
    expect(imagesOf(own)).toContain(digest("airflow"));
    expect(imagesOf(own)).not.toContain("apache/airflow:3.3.2");
  });

  it("builds an image with BuildKit from the repository's Dockerfile after the registry, with the pushed image as cache", async () => {
    const two = await evaluated({ changes: { noetl: { instances: { main: {}, old: { version: "2.5.5" } } } } });
    const { inputs, options } = one(two, "Image", "kind-noetl-2.5.5");
    const imageName = "localhost:5001/data-platform/noetl:2.5.5";
    expect(inputs).toEqual({
      imageName,
      skipPush: false,
      buildOnPreview: false,
      build: {
        context: "apps/noetl",
        dockerfile: "apps/noetl/Dockerfile",
        builderVersion: "BuilderBuildKit",
        cacheFrom: { images: [imageName] },
        args: { BUILDKIT_INLINE_CACHE: "1", VERSION: "2.5.5" },
      },
    });
    expect(options.dependencies).toEqual([one(two, "Container", "kind-registry").urn]);
    expect(one(two, "Image", "kind-polls-1.0.0").inputs.build).toMatchObject({ args: { BUILDKIT_INLINE_CACHE: "1" } });
  });

  it("runs its own images by digest, and all others by name", () => {
    const images = imagesOf(made);
    const own = ["deployd", "flink", "noetl", "polls", "spark", "superset", "web-app"].map(digest);
    expect(images.filter((image) => image.includes("data-platform/")).sort()).toEqual(own.sort());
    expect(images.filter((image) => image.includes("@"))).toHaveLength(own.length);
    expect(images).toContain("redis:8.2.10");
  });

  it("does not change the version in labels", () => {
    const polls = objects(made).find(({ kind, metadata }) => kind === "Deployment" && metadata.name === "polls")!;
    expect(polls.metadata.labels).toMatchObject({ "app.kubernetes.io/version": "1.0.0" });
  });

  it.each([
    ["polls", ["Deployment polls", "Job polls-migrate-#"]],
    ["web-app", ["Deployment app-test-deployment-flask", "Deployment app-test-deployment-worker"]],
    ["deployd", ["Deployment deployd"]],
    ["flink", ["Deployment flink-jobmanager", "Deployment flink-taskmanager"]],
  ])("rolls only the workloads of %s if its source changes", async (name, expected) => {
    const changed: Made = (args) => {
      const outputs = docker(args);
      return outputs.repoDigest === digest(name) ? { repoDigest: `${digest(name).slice(0, -4)}beef` } : outputs;
    };
    const before = objects(made).map((object) => JSON.stringify(object));
    const rolled = objects(await evaluated({ made: changed }))
      .filter((object) => !before.includes(JSON.stringify(object)))
      .map(({ kind, metadata }) => `${kind} ${metadata.name.replace(/-[0-9a-f]{8}$/, "-#")}`);
    expect(rolled.sort()).toEqual(expected);
  });

  it("can be previewed before kubeconfig and digests are known", async () => {
    const unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";
    const preview = await evaluated({ preview: true, made: () => ({}) });
    expect(machinery(preview).sort()).toEqual(machinery(made).sort());
    expect(one(preview, "kubernetes", "kubernetes").inputs.kubeconfig).toBe(unknown);
    const { spec } = one(preview, "Deployment", "polls").inputs as { spec: { template: { spec: unknown } } };
    expect(spec.template.spec).toMatchObject({ containers: [{ name: "web", image: unknown }] });
    const known = one(preview, "Deployment", "nessie").inputs;
    expect(JSON.stringify(known)).toContain("ghcr.io/projectnessie/nessie:");
  });

  it("builds no image with a mirror, nor one that is pinned or not its own", async () => {
    const built = async (changes: Values) =>
      machinery(await evaluated({ changes })).filter((name) => name.startsWith("docker:index/image:"));
    expect(await built({ global: { cluster: "kind", imageRegistry: "mirror.example.com" } })).toEqual([]);
    const pinned = `data-platform/deployd:1.0.0@sha256:${"0".repeat(64)}`;
    const others = await built({ polls: { image: "apps.example.com/polls:2.0.0" }, deployd: { image: pinned } });
    expect(others.join()).not.toMatch(/polls|deployd/);
    expect(others).toHaveLength(5);
  });
});

describe("no cluster, registry or image is created", () => {
  it("if the stack names its cluster's context", async () => {
    const made = await evaluated({ context: "kind-data-platform" });
    expect(machinery(made)).toEqual([]);
    expect(one(made, "kubernetes", "kubernetes").inputs).toMatchObject({ context: "kind-data-platform" });
    expect(imagesOf(made)).toContain("data-platform/polls:1.0.0");
  });

  it.each(["plain", "embedded", "eks"])("if the stack has cluster: %s", async (cluster) => {
    const made = await evaluated({ changes: { global: { cluster } } });
    expect(machinery(made)).toEqual([]);
    expect(imagesOf(made)).toContain("data-platform/polls:1.0.0");
  });

  it("if the program is given an existing cluster, as by every engine except Pulumi's", async () => {
    const { config } = readStack(".", "test");
    config["data-platform:global"] = { cluster: "kind" };
    const onExisting = () => program({ clusterIsThere: true });
    const made = await evaluate({ program: onExisting, stack: "test", config, random: seeded("kind") });
    expect(machinery(made)).toEqual([]);
    expect(imagesOf(made)).toContain("data-platform/polls:1.0.0");
  });
});
