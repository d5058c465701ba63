// Proves which resources components register, their options and secrets, and what the kit does with its arguments.
// Does not prove that an API server accepts them or that the software starts: the cluster tests do.
import * as pulumi from "@pulumi/pulumi";
import { describe, expect, it } from "vitest";
import { Component, type NamespaceContext } from "../../components/kit/component.ts";
import { runOnce } from "../../components/kit/job.ts";
import { Network } from "../../components/kit/network.ts";
import { execProbe, pod, scratch } from "../../components/kit/pod.ts";
import { credentials, password, TypedSecret } from "../../components/kit/secret.ts";
import { serviceAccount } from "../../components/kit/service-account.ts";
import { refuseToResize, stateful } from "../../components/kit/stateful.ts";
import { shrinks } from "../../components/kit/storage.ts";
import { Namespace } from "../../components/namespaces.ts";
import { logSizes, Postgresql } from "../../components/postgresql/index.ts";
import type { WorkloadSettings } from "../../config/pods.ts";
import { parseConfig } from "../../config/problems.ts";
import { type Evaluation, evaluate, type Resource, seeded } from "../../render/evaluate.ts";

const config = (values: Record<string, unknown> = {}) => parseConfig("unit", values);

class Sample extends Component {
  constructor(
    namespace: NamespaceContext,
    body: (component: Sample) => void,
    settings: WorkloadSettings = { pods: { priority: "web" } },
  ) {
    super("Sample", "sample", namespace, { ...settings, version: "1.2.3" });
    body(this);
    this.registerOutputs({});
  }
}

const namespaceOf = (global = config().global): NamespaceContext => {
  const { name, ready } = new Namespace("core", {
    stack: "unit",
    settings: config().namespaces.core,
    protectData: global.protectData,
  });
  return { stack: "unit", key: "core", name: name, ready, global, network: new Network(), salt: pulumi.secret("salt") };
};

const program = (body: () => unknown, seed = "unit"): Promise<Evaluation> =>
  evaluate({ program: body, stack: "unit", config: {}, random: seeded(seed) });

const sample = (body: (component: Sample) => void, global = config().global) =>
  program(() => {
    new Sample(namespaceOf(global), body);
  });

const of = ({ resources }: Evaluation, type: string, name?: string) =>
  resources.find(
    (one) => one.type.endsWith(`${type.includes("/") ? "" : ":"}${type}`) && (!name || one.name === name),
  ) as Resource;

const urn = (evaluation: Evaluation, type: string, name?: string) => of(evaluation, type, name).urn;

// biome-ignore lint/suspicious/noExplicitAny: an object's fields as plain data
const inputs = (resource: Resource) => resource.inputs as any;

const web = {
  image: "web:1.0",
  command: ["serve"],
  resources: { requests: { cpu: "10m", memory: "16Mi" }, limits: { memory: "16Mi" } },
};

describe("a component", () => {
  it("is the parent of its children, which depend on the namespace, and has a service account without a token", async () => {
    const made = await sample((component) => {
      // Read twice, created once.
      expect(serviceAccount(component)).toBe(serviceAccount(component));
    });
    const account = of(made, "ServiceAccount");
    expect(account.inputs.automountServiceAccountToken).toBe(false);
    expect(account.options.parent).toBe(urn(made, "Sample"));
    expect(account.options.dependencies).toEqual([of(made, "core/v1:Namespace").urn]);
  });

  it("has no service account without pods", async () => {
    const made = await sample((component) => void password(component, "admin", 1));
    expect(of(made, "ServiceAccount")).toBeUndefined();
  });

  it("has no inputs in the state", async () => {
    const made = await sample((component) => void password(component, "admin", 1));
    for (const { custom, inputs } of made.resources) if (!custom) expect(inputs).toEqual({});
  });

  it("keeps labels that change out of selectors, which are immutable", async () => {
    await sample((component) => {
      expect(component.labels("server")["app.kubernetes.io/version"]).toBe("1.2.3");
      expect(component.selector("server")).not.toHaveProperty(["app.kubernetes.io/version"]);
    });
  });
});

describe("a secret", () => {
  it("is a secret in the state and a reference in a pod", async () => {
    const made = await sample((component) => {
      const secret = TypedSecret.create(component, "admin", () => ({ password: password(component, "admin", 1) }));
      // @ts-expect-error a key that the Secret does not have must not compile
      secret.key("pasword");
      stateful(component, {
        replicas: 1,
        ports: {},
        storage: { size: "1Gi" },
        pod: {
          user: 1000,
          checksums: { admin: secret.revision },
          containers: { web: { ...web, env: { PASSWORD: secret.key("password"), PLAIN: "x" } } },
          volumes: {},
        },
      });
    });
    expect(of(made, "Secret").secrets).toEqual(["stringData"]);
    const set = of(made, "StatefulSet");
    expect(set.secrets).toEqual([]);
    expect(inputs(set).spec.template.spec.containers[0].env).toEqual([
      { name: "PASSWORD", valueFrom: { secretKeyRef: { name: "sample-admin", key: "password" } } },
      { name: "PLAIN", value: "x" },
    ]);
    expect(set.options.dependencies).toContain(urn(made, "Secret"));
  });

  const revision = async (rotation: number, seed: string) => {
    const made = await program(() => {
      const revisions: pulumi.Output<string>[] = [];
      new Sample(namespaceOf(), (component) => {
        revisions.push(
          TypedSecret.create(component, "admin", () => ({ password: password(component, "admin", rotation) })).revision,
        );
      });
      return { revision: revisions[0] };
    }, seed);
    return made.outputs.revision as string;
  };

  it("has a revision that changes only with the value", async () => {
    expect(await revision(1, "a")).toBe(await revision(1, "a"));
    expect(await revision(1, "a")).not.toBe(await revision(2, "a"));
    expect(await revision(1, "a")).not.toBe(await revision(1, "b"));
  });

  it("is not created if the stack names an existing one", async () => {
    const made = await sample((component) => {
      const secret = credentials(component, "admin", { rotation: 3, existingSecret: "theirs" }, () => {
        throw new Error("created an unused value");
      });
      secret.key("password").secret.apply((name) => {
        expect(name).toBe("theirs");
      });
    });
    expect(of(made, "Secret")).toBeUndefined();
  });

  it("has 32 letters and digits, and a keeper with the rotation", async () => {
    const made = await sample((component) => void password(component, "admin", 7));
    expect(of(made, "RandomPassword").inputs).toEqual({ length: 32, special: false, keepers: { rotation: "7" } });
  });
});

describe("a pod", () => {
  const template = async (spec: Parameters<typeof pod<"tmp">>[1], global = config().global) => {
    let made: unknown;
    await sample((component) => {
      made = pod(component, spec);
    }, global);
    // biome-ignore lint/suspicious/noExplicitAny: a pod as plain data
    return (made as any).spec;
  };
  const minimal = { user: 1000, containers: { web }, volumes: { tmp: scratch({ size: "1Mi" }) } };

  it("restricts every container, init containers too", async () => {
    const { initContainers, containers } = await template({ ...minimal, init: { first: web } });
    expect(initContainers[0].securityContext).toEqual(containers[0].securityContext);
    expect(containers[0].securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    });
  });

  it("mounts only its own volumes", async () => {
    await template({
      ...minimal,
      containers: {
        web: {
          ...web,
          // @ts-expect-error a volume that the pod does not have must not compile
          mounts: { "/data": "date" },
        },
      },
    });
  });

  it("has the pull Secrets and the pull policy of the stack", async () => {
    const { global } = config({ global: { imagePullSecrets: ["registry"], imagePullPolicy: "Always" } });
    const spec = await template(minimal, global);
    expect(spec.imagePullSecrets).toEqual([{ name: "registry" }]);
    expect(spec.containers[0].imagePullPolicy).toBe("Always");
  });

  it("has the probes' timing", () => {
    expect(execProbe(["true"], { every: 2, failures: 300 })).toEqual({
      exec: { command: ["true"] },
      periodSeconds: 2,
      timeoutSeconds: 5,
      failureThreshold: 300,
    });
  });
});

describe("a Job", () => {
  const made = async (jobDeadline?: number) => {
    const global = config({ global: jobDeadline ? { jobDeadline } : {} }).global;
    return of(
      await sample((component) => {
        runOnce(component, "setup", { user: 1000, containers: { web }, volumes: {} }, { dependsOn: [] });
      }, global),
      "Job",
    );
  };

  it("has the stack's deadline, and Pulumi waits a minute longer", async () => {
    expect(inputs(await made()).spec.activeDeadlineSeconds).toBe(1800);
    const { options, ...job } = await made(7200);
    expect(job.inputs.spec).toMatchObject({ activeDeadlineSeconds: 7200 });
    expect(options.customTimeouts).toEqual({ create: "7260s", update: "7260s", delete: "" });
  });

  it("has the same name with another deadline", async () => {
    expect(inputs(await made(60)).metadata.name).toBe(inputs(await made()).metadata.name);
  });

  it("is replaced by Pulumi after a failure", async () => {
    expect(inputs(await made()).metadata.annotations).toEqual({ "pulumi.com/replaceUnready": "true" });
  });
});

describe("storage", () => {
  const set = (replicas: number, global = config().global) =>
    sample((component) => {
      stateful(component, {
        replicas,
        ports: { http: 80 },
        storage: { size: "3Gi" },
        pod: { user: 1, containers: { web: { ...web, mounts: { "/data": "data" } } }, volumes: {} },
      });
    }, global);

  it("is a claim per pod, under the StatefulSet's name for it", async () => {
    const made = await set(2);
    const claims = made.resources.filter(({ type }) => type.endsWith("PersistentVolumeClaim")).map(inputs);
    expect(claims.map(({ metadata, spec }) => [metadata.name, spec.resources.requests.storage])).toEqual([
      ["data-sample-0", "3Gi"],
      ["data-sample-1", "3Gi"],
    ]);
    const stateful = of(made, "StatefulSet");
    expect(stateful.options.dependencies).toContain(urn(made, "PersistentVolumeClaim", "sample-data-1"));
    expect(inputs(stateful).spec.serviceName).toBe("sample-headless");
  });

  it("is protected and retained, unless the stack disables it", async () => {
    const kept = of(await set(1), "PersistentVolumeClaim").options;
    expect([kept.protect, kept.retainOnDelete]).toEqual([true, true]);
    const free = of(await set(1, config({ global: { protectData: false } }).global), "PersistentVolumeClaim").options;
    expect([free.protect, free.retainOnDelete]).toEqual([false, false]);
  });

  it("has the stack's class", async () => {
    const made = await set(1, config({ global: { storageClass: "fast" } }).global);
    expect(inputs(of(made, "PersistentVolumeClaim")).spec.storageClassName).toBe("fast");
  });

  it("never shrinks: the message names the key", () => {
    expect(shrinks("dev", "redis", "1Gi", "1Gi")).toBeUndefined();
    expect(shrinks("dev", "redis", "512Mi", "1Gi")).toBeUndefined();
    expect(shrinks("dev", "redis", "1Gi", "1023Mi")).toBe(
      "stack dev: redis.storage.size: found 1023Mi; expected at least 1Gi, the size of the volume that exists: volumes never shrink",
    );
  });
});

describe("a fixed number of replicas", () => {
  const update = async (before: number, after: number) => {
    let problem: unknown;
    await sample(async (component) => {
      const hook = refuseToResize(component, "sample.replicas");
      const spec = (replicas: number) => ({ spec: { replicas } });
      try {
        await hook.callback({ urn: "", id: "", name: "", type: "", oldInputs: spec(before), newInputs: spec(after) });
      } catch (error) {
        problem = (error as Error).message;
      }
    });
    return problem;
  };

  it.each([
    [1, 3],
    [3, 1],
    [3, 5],
  ])("does not change from %d to %d: the message names the key", async (before, after) => {
    expect(await update(before, after)).toBe(
      `stack unit: sample.replicas: found ${after}; expected ${before}, the number that exists: it is fixed when the volumes are first written to`,
    );
  });

  it("may stay the same", async () => {
    expect(await update(3, 3)).toBeUndefined();
  });
});

describe("connections", () => {
  it("to unknown names do not compile", async () => {
    await program(() => {
      const here = namespaceOf();
      const postgresql = new Postgresql("postgresql", {
        namespace: here,
        config: config().postgresql,
        databases: [{ database: "nessie" }],
      });
      expect(postgresql.database("nessie", here).host).toBe("postgresql.unit-core.svc");
      // @ts-expect-error an undeclared database must not compile
      expect(() => postgresql.database("nesie", here)).toThrow("found no database nesie; valid: nessie");
    });
  });
});

describe("PostgreSQL's configuration", () => {
  const conf = async (limit: string, size = "10Gi") => {
    const made = await program(() => {
      const resources = { requests: { memory: "256Mi" }, limits: { memory: limit } };
      new Postgresql("postgresql", {
        namespace: namespaceOf(),
        config: config({ postgresql: { resources, storage: { size } } }).postgresql,
        databases: [],
      });
    });
    return inputs(of(made, "ConfigMap")).data["postgresql.conf"] as string;
  };

  it("follows the memory limit", async () => {
    expect(await conf("2Gi")).toContain("shared_buffers = 512MB\n");
    expect(await conf("512Mi")).toContain("shared_buffers = 128MB\n");
    expect(await conf("1.1G")).toContain("shared_buffers = 262MB\n");
  });

  it("leaves most of a small volume for the tables", async () => {
    expect(await conf("512Mi", "1Gi")).toContain("max_wal_size = 128MB\nmin_wal_size = 64MB\n");
    expect(await conf("512Mi")).toContain("max_wal_size = 1024MB\nmin_wal_size = 80MB\n");
    // PostgreSQL requires at least two log files of 16 MiB.
    expect(logSizes("512Mi")).toEqual({ most: 64, least: 32 });
  });
});
