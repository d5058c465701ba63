// Proves for NoETL's manifests: image, command and volumes of each instance type, several instances side by side, no
// database password in workers and logs, and what a change rolls.
// Does not prove that the servers start with them: the cluster test does.
import { beforeAll, describe, expect, it } from "vitest";
import { changed, type Evaluated, evaluatedWithSecrets, named } from "./stacks.ts";

const render = (noetl: string) => evaluatedWithSecrets("dev", `noetl: ${noetl}`);

interface Container {
  image: string;
  command: string[];
  env: { name: string; value?: string; valueFrom?: { secretKeyRef: { name: string; key: string } } }[];
  volumeMounts: { name: string; mountPath: string; readOnly?: boolean }[];
}
interface PodSpec {
  initContainers: Container[];
  containers: Container[];
  volumes: { name: string; persistentVolumeClaim?: { claimName: string }; emptyDir?: object }[];
}
const pod = (program: Evaluated, name: string): PodSpec => named(program, "StatefulSet", name).spec.template.spec;
const commandOf = ({ command }: Container) => command.join(" ");

const three = `{ instances: {
  main: { version: latest },
  code: { type: dev, version: 4.27.0, path: /code },
  built: { type: package, version: 4.26.0, path: /dist },
  old: { version: 0.1.38 },
  } }`;

describe("instances", () => {
  let program: Evaluated;
  beforeAll(async () => {
    program = await render(three);
  });

  it("have their own names, databases and NATS accounts", () => {
    const services = program.objects.filter(({ kind, metadata }) => kind === "Service" && /^noetl/.test(metadata.name));
    expect(services.map(({ metadata }) => metadata.name).filter((name) => !name.endsWith("headless"))).toEqual(
      expect.arrayContaining(["noetl", "noetl-code", "noetl-built", "noetl-old", "noetl-nats"]),
    );
    for (const [name, database] of [
      ["noetl", "noetl"],
      ["noetl-code", "noetl_code"],
    ] as const)
      expect(pod(program, name).containers[0]!.env).toContainEqual({ name: "POSTGRES_DB", value: database });
    const { "nats.conf": queue } = named(program, "Secret", "noetl-nats-config").stringData;
    for (const account of ["main", "code", "built", "old"])
      expect(queue).toContain(`"${account}": { jetstream: enabled`);
  });

  it("of a release install it from their image, with no index", () => {
    const { initContainers, volumes } = pod(program, "noetl");
    expect(initContainers[0]!.image).toBe("data-platform/noetl:4.26.0");
    expect(commandOf(initContainers[0]!)).toContain("noetl==4.26.0");
    expect(initContainers[0]!.env).toContainEqual({ name: "PIP_NO_INDEX", value: "1" });
    expect(volumes.every(({ persistentVolumeClaim }) => !persistentVolumeClaim)).toBe(true);
    expect(pod(program, "noetl-old").initContainers[0]!.image).toBe("data-platform/noetl:0.1.38");
  });

  it("of a checkout read it through a claim, and restart when it changes", () => {
    const { initContainers, containers, volumes } = pod(program, "noetl-code");
    // The release before the development version.
    expect(initContainers[0]!.image).toBe("data-platform/noetl:4.26.0");
    expect(commandOf(initContainers[0]!)).toContain("--editable /source");
    expect(commandOf(containers[0]!)).toMatch(/ -m watchfiles .*-m noetl\.server .* \/source$/);
    expect(containers[0]!.volumeMounts).toContainEqual({ name: "source", mountPath: "/source", readOnly: true });
    const claim = volumes.find(({ name }) => name === "source")!.persistentVolumeClaim!.claimName;
    const { spec } = named(program, "PersistentVolumeClaim", claim);
    expect(named(program, "PersistentVolume", spec.volumeName).spec).toMatchObject({
      hostPath: { path: "/code", type: "Directory" },
      claimRef: { namespace: "dev-apps", name: claim },
    });
  });

  it("of a package install the newest file", () => {
    const { initContainers, containers } = pod(program, "noetl-built");
    expect(commandOf(initContainers[0]!)).toContain("/etc/noetl/newest.py");
    expect(commandOf(containers[0]!)).not.toContain("watchfiles");
  });

  it("keep data and logs on a volume, in the server and in the worker", () => {
    for (const name of ["noetl", "noetl-worker", "noetl-code", "noetl-code-worker"]) {
      const { volumeMounts } = pod(program, name).containers[0]!;
      for (const path of ["data", "logs"])
        expect(volumeMounts).toContainEqual({ name: "data", mountPath: `/opt/noetl/${path}`, subPath: path });
      expect(named(program, "PersistentVolumeClaim", `data-${name}-0`)).toBeDefined();
    }
  });

  it("install in an init container, so that no probe counts the time", () => {
    const { initContainers, containers } = pod(program, "noetl");
    expect(commandOf(initContainers[0]!)).toContain("pip install");
    expect(commandOf(containers[0]!)).not.toContain("pip");
  });

  it("give no worker credentials of the database", () => {
    for (const name of ["noetl-worker", "noetl-code-worker", "noetl-built-worker"])
      expect(pod(program, name).containers[0]!.env.map((one) => one.name)).not.toEqual(
        expect.arrayContaining([expect.stringMatching(/POSTGRES|NOETL_PASSWORD|NOETL_USER|PGPASS/)]),
      );
  });

  it("give no password to a server that logs its environment", () => {
    const { env } = pod(program, "noetl-old").containers[0]!;
    for (const name of ["POSTGRES_PASSWORD", "NOETL_PASSWORD"]) expect(env).toContainEqual({ name, value: "''" });
    expect(env.filter(({ valueFrom }) => valueFrom?.secretKeyRef.key === "password")).toEqual([]);
  });

  it("before 1.0 have neither worker nor Job: the server does both", () => {
    expect(named(program, "StatefulSet", "noetl-old-worker")).toBeUndefined();
    const jobs = program.objects.filter(({ kind }) => kind === "Job").map(({ metadata }) => metadata.name);
    expect(jobs.filter((name) => name.startsWith("noetl-old"))).toEqual([]);
    expect(jobs.filter((name) => name.startsWith("noetl-schema"))).toHaveLength(1);
  });

  it("keep an image's digest, and do not confuse versions with a common prefix", async () => {
    const digest = `@sha256:${"0".repeat(64)}`;
    const image = async (configured: string, version: string) => {
      const program = await render(`{ image: "${configured}", instances: { main: { version: ${version} } } }`);
      return pod(program, "noetl").containers[0]!.image;
    };
    expect(await image(`example.com/noetl:4.26.0${digest}`, "4.26.0")).toBe(`example.com/noetl:4.26.0${digest}`);
    expect(await image(`example.com/noetl:2.5.50${digest}`, "2.5.5")).toBe("example.com/noetl:2.5.5");
  });

  it("install from the package index, on one image, if one is configured", async () => {
    const index = "https://pypi.example.com/simple";
    const { initContainers } = pod(
      await render(`{ packageIndex: "${index}", instances: { main: { version: 2.5.5 } } }`),
      "noetl",
    );
    expect(initContainers[0]!.image).toBe("data-platform/noetl:4.26.0");
    expect(initContainers[0]!.env).toContainEqual({ name: "PIP_INDEX_URL", value: index });
  });
});

it("another type of an instance changes its pods and Job, and neither Service nor database", async () => {
  const before = await render("{ instances: { main: { version: 4.26.0 } } }");
  const after = await render("{ instances: { main: { type: dev, version: 4.26.0, path: /code } } }");
  expect(changed(before, after)).toEqual([
    "Job noetl-schema-#",
    "PersistentVolume dev-apps-noetl-source-#",
    "PersistentVolumeClaim noetl-source-#",
    "StatefulSet noetl",
    "StatefulSet noetl-worker",
  ]);
});
