// Proves for Airflow's manifests: what a change rolls, which keys a rotation replaces, the source of DAGs, refused
// configuration.
// Does not prove that a process starts.
import { beforeAll, describe, expect, it } from "vitest";
import { parseConfig } from "../../config/problems.ts";
import type { KubernetesObject } from "../../policy/rules/index.ts";
import { seeded } from "../../render/evaluate.ts";
import { changed, type Evaluated, evaluated } from "./stacks.ts";

const stack = (changes = "{}", name = "test") => evaluated(name, { changes, random: seeded("a test's seed") });

const ours = ({ objects }: Evaluated) => objects.filter(({ metadata }) => metadata.name.startsWith("airflow"));

const find = (program: Evaluated, kind: string, name: string): KubernetesObject => {
  const found = ours(program).find((object) => object.kind === kind && object.metadata.name.startsWith(name));
  if (!found) throw new Error(`no ${kind} ${name}`);
  return found;
};

const container = (program: Evaluated, process: string) =>
  find(program, "Deployment", `airflow-${process}`).spec.template.spec.containers[0];

const processes = ["api-server", "dag-processor", "scheduler", "triggerer", "worker"];
const all = processes.map((name) => `Deployment airflow-${name}`);

let before: Evaluated;
beforeAll(async () => {
  before = await stack();
});

describe("Airflow", () => {
  it("has every process that Airflow 3 needs, and one Service, in front of the API server", () => {
    const deployments = ours(before).filter(({ kind }) => kind === "Deployment");
    expect(deployments.map(({ metadata }) => metadata.name).sort()).toEqual(processes.map((name) => `airflow-${name}`));
    const services = ours(before).filter(({ kind }) => kind === "Service");
    expect(services.map(({ spec }) => spec.selector["app.kubernetes.io/component"])).toEqual(["api-server"]);
  });

  it("migrates the database before any process starts", () => {
    const job = find(before, "Job", "airflow-setup").metadata.name;
    for (const name of processes) {
      const deployment = before.manifests.find(({ key }) => key === `Deployment.apps test-apps/airflow-${name}`)!;
      expect(deployment.dependsOn).toContain(`Job.batch test-apps/${job}`);
    }
  });

  it("gives every process the same keys, by reference", () => {
    const keys = ["AIRFLOW__CORE__FERNET_KEY", "AIRFLOW__API_AUTH__JWT_SECRET", "AIRFLOW__API__SECRET_KEY"];
    const env = (name: string) => container(before, name).env as { name: string; valueFrom?: object }[];
    for (const key of keys) {
      const given = processes.map((name) => JSON.stringify(env(name).find((variable) => variable.name === key)));
      expect(new Set(given).size).toBe(1);
      expect(given[0]).toContain("secretKeyRef");
    }
  });

  it("has keys of the required form and length", () => {
    const { stringData } = find(before, "Secret", "airflow-keys") as unknown as { stringData: Record<string, string> };
    const length = (key: string) => Buffer.from(stringData[key]!, "base64url").length;
    expect({ fernet: length("fernet-key"), jwt: length("jwt-secret"), api: length("secret-key") }).toEqual({
      fernet: 32,
      jwt: 64,
      api: 64,
    });
    // Fernet requires the key's base64 padding.
    expect(stringData["fernet-key"]).toMatch(/^[\w-]{43}=$/);
  });

  it("defines a variable before another one refers to it, as Kubernetes requires", () => {
    for (const name of processes) {
      const seen = new Set<string>();
      for (const variable of container(before, name).env as { name: string; value?: string }[]) {
        for (const [, reference] of (variable.value ?? "").matchAll(/\$\((\w+)\)/g)) expect(seen).toContain(reference);
        seen.add(variable.name);
      }
    }
  });

  it.each([
    ["{}", "32", "128"],
    ["airflow: { worker: { replicas: 10, concurrency: 32 } }", "320", "320"],
    ["airflow: { worker: { replicas: 8, concurrency: 8 } }", "64", "128"],
  ])(
    "lets a scheduler fill all workers: with %s it runs %s tasks, of the default pool %s",
    async (changes, tasks, slots) => {
      const program = await stack(changes);
      expect(container(program, "scheduler").env).toContainEqual({ name: "AIRFLOW__CORE__PARALLELISM", value: tasks });
      expect(find(program, "Job", "airflow-setup").spec.template.spec.containers[0].env).toContainEqual({
        name: "AIRFLOW__CORE__DEFAULT_POOL_TASK_SLOT_COUNT",
        value: slots,
      });
    },
  );

  it("with more workers rolls no other process unless the scheduler's limit changes", async () => {
    const few = changed(before, await stack("airflow: { worker: { replicas: 3 } }"));
    expect(few.filter((name) => name.startsWith("Deployment"))).toEqual(["Deployment airflow-worker"]);
    const many = changed(before, await stack("airflow: { worker: { replicas: 10, concurrency: 8 } }"));
    expect(many.filter((name) => name.startsWith("Deployment"))).toEqual([
      "Deployment airflow-scheduler",
      "Deployment airflow-worker",
    ]);
  });

  it("loads the execution API by its startup probe", () => {
    const { startupProbe } = container(before, "api-server");
    expect(startupProbe.httpGet.path).toBe("/execution/health");
    expect(startupProbe.timeoutSeconds).toBeGreaterThanOrEqual(60);
  });

  it("limits the requests of the API server, and exempts exactly its probes", () => {
    const { startupProbe, readinessProbe, livenessProbe, volumeMounts } = container(before, "api-server");
    const plugin = find(before, "ConfigMap", "airflow-config").data["request_limit.py"] as string;
    const probes = [startupProbe, readinessProbe, livenessProbe].map(({ httpGet }) => `"${httpGet.path}"`);
    expect(plugin).toContain(`PROBES = {${probes.join(", ")}}`);
    const mountPath = "/opt/airflow/plugins/request_limit.py";
    expect(volumeMounts).toContainEqual({ name: "config", mountPath, subPath: "request_limit.py" });
    for (const name of processes.slice(1)) expect(JSON.stringify(container(before, name))).not.toContain("plugins");
  });

  it("gives up a connection to Redis that is lost, so that a worker stops", () => {
    const config = find(before, "ConfigMap", "airflow-config").data;
    expect(config["airflow.cfg"]).toMatch(/^socket_timeout = 10\nsocket_connect_timeout = 5$/m);
    expect(config["celery_config.py"]).toContain('"worker_consumer": "celery_consumer:Consumer"');
    expect(container(before, "worker").command).toContain("--without-gossip");
  });

  it("shares no volume: logs go to the bucket", () => {
    const config = find(before, "ConfigMap", "airflow-config").data["airflow.cfg"];
    expect(config).toContain("remote_base_log_folder = s3://airflow/logs");
    expect(ours(before).filter(({ kind }) => kind === "PersistentVolumeClaim")).toEqual([]);
  });
});

describe("a change", () => {
  it("of the workers rolls only the workers", async () => {
    expect(changed(before, await stack("airflow: { worker: { concurrency: 3 } }"))).toEqual([
      "Deployment airflow-worker",
    ]);
  });

  it("of the DAGs' ConfigMap rolls the processes that read DAGs", async () => {
    const after = await stack("airflow: { dags: { configMap: my-dags } }");
    expect(changed(before, after)).toEqual([
      "Deployment airflow-dag-processor",
      "Deployment airflow-triggerer",
      "Deployment airflow-worker",
    ]);
    expect(find(after, "Deployment", "airflow-worker").spec.template.spec.volumes).toContainEqual({
      name: "dags",
      configMap: { name: "my-dags" },
    });
    expect(ours(after).map(({ metadata }) => metadata.name)).not.toContain("airflow-dags");
  });

  it("to a git repository removes the ConfigMap, and no manifest holds the token", async () => {
    const after = await stack(`airflow:
  dags:
    git: { repository: "https://git.example.com/team/dags.git", branch: v1.2, folder: flows, existingSecret: dags-git }`);
    // Those that read DAGs may connect to the repository.
    const readers = ["dag-processor", "triggerer", "worker"].map((role) => `NetworkPolicy airflow-${role}`);
    expect(changed(before, after)).toEqual(["ConfigMap airflow-config", ...all, ...readers]);
    expect(ours(after).map(({ metadata }) => metadata.name)).not.toContain("airflow-dags");
    const config = find(after, "ConfigMap", "airflow-config").data["airflow.cfg"] as string;
    const [, list] = /^dag_bundle_config_list = (.*)$/m.exec(config)!;
    expect(JSON.parse(list!)).toEqual([
      {
        name: "git",
        classpath: "airflow.providers.git.bundles.git.GitDagBundle",
        kwargs: {
          git_conn_id: "dags",
          repo_url: "https://git.example.com/team/dags.git",
          tracking_ref: "v1.2",
          subdir: "flows",
          refresh_interval: 60,
        },
      },
    ]);
    const reference = { secretKeyRef: { name: "dags-git", key: "password" } };
    for (const name of ["dag-processor", "triggerer", "worker"])
      expect(container(after, name).env).toContainEqual({ name: "GIT_PASSWORD", valueFrom: reference });
    expect(JSON.stringify(container(after, "api-server"))).not.toContain("dags-git");
  });

  it.each(["ssh://git@git.example.com:2222/team/dags.git", "git@git.example.com:team/dags.git"])(
    "to %s mounts key and known hosts, and checks the server's key",
    async (repository) => {
      const after = await stack(
        `airflow: { dags: { git: { repository: "${repository}", existingSecret: dags-ssh } } }`,
      );
      for (const name of ["dag-processor", "triggerer", "worker"]) {
        const { env, volumeMounts } = container(after, name);
        const connection = env.find((one: { name: string }) => one.name === "AIRFLOW_CONN_DAGS");
        expect(JSON.parse(connection.value)).toEqual({
          conn_type: "git",
          host: repository,
          extra: {
            key_file: "/run/git/ssh-privatekey",
            known_hosts_file: "/run/git/known_hosts",
            strict_host_key_checking: "yes",
          },
        });
        expect(volumeMounts).toContainEqual({ name: "git-keys", mountPath: "/run/git" });
        expect(JSON.stringify(env)).not.toContain("GIT_PASSWORD");
      }
      const { volumes } = find(after, "Deployment", "airflow-worker").spec.template.spec;
      expect(JSON.stringify(volumes)).toContain(
        '"items":[{"key":"known_hosts","path":"known_hosts"}],"name":"dags-ssh"',
      );
      expect(JSON.stringify(container(after, "scheduler"))).not.toContain("/run/git");
    },
  );

  it("to a server of a private authority mounts its certificates for git alone", async () => {
    const after = await stack(
      'airflow: { dags: { git: { repository: "https://git.example.com/dags.git", caConfigMap: git-ca } } }',
    );
    const { env, volumeMounts } = container(after, "worker");
    expect(env).toContainEqual({ name: "GIT_SSL_CAINFO", value: "/etc/git-authority/ca.crt" });
    expect(volumeMounts).toContainEqual({ name: "git-authority", mountPath: "/etc/git-authority" });
  });

  it("of connections and variables gives them to every process, from Secrets", async () => {
    const after = await stack(`airflow:
  connections:
    warehouse: { secretKeyRef: { name: warehouse, key: uri } }
    files: '{"conn_type": "fs", "extra": {"path": "/tmp"}}'
  variables: { region: eu, salt: { secretKeyRef: { name: warehouse, key: salt } } }`);
    for (const name of processes) {
      const { env } = container(after, name);
      const reference = (key: string) => ({ valueFrom: { secretKeyRef: { name: "warehouse", key } } });
      expect(env).toContainEqual({ name: "AIRFLOW_CONN_WAREHOUSE", ...reference("uri") });
      expect(env).toContainEqual({ name: "AIRFLOW_VAR_SALT", ...reference("salt") });
      expect(env).toContainEqual({ name: "AIRFLOW_VAR_REGION", value: "eu" });
    }
  });

  it("of pools runs the set-up Job again, which writes them, and rolls nothing", async () => {
    const after = await stack("airflow: { pools: { heavy: { slots: 4, description: Large queries } } }");
    expect(changed(before, after)).toEqual(["ConfigMap airflow-setup-script", "Job airflow-setup-#"]);
    const { data } = find(after, "ConfigMap", "airflow-setup-script");
    expect(JSON.parse(data["pools.json"])).toEqual({
      heavy: { slots: 4, description: "Large queries", includeDeferred: false },
    });
    expect(data["setup.py"]).toContain("Pool.create_or_update_pool(");
  });

  it("of an option keeps each section in one place, and adds a new one", async () => {
    const after = await stack(`airflow:
  settings: { core.default_timezone: Europe/Berlin, scheduler.max_tis_per_query: 32, smtp.smtp_host: "m%d" }`);
    const file = find(after, "ConfigMap", "airflow-config").data["airflow.cfg"] as string;
    expect(file.match(/^\[core\]$/gm)).toHaveLength(1);
    const section = (name: string) => file.split(/^(?=\[)/m).find((one) => one.startsWith(`[${name}]\n`));
    expect(section("core")).toContain("\ndefault_timezone = Europe/Berlin\n");
    expect(section("scheduler")).toContain("\nmax_tis_per_query = 32\n");
    expect(section("smtp")).toContain("\nsmtp_host = m%%d\n");
  });

  it("of the rotation replaces the password and all keys but the Fernet key, and runs the set-up Job again", async () => {
    const after = await stack("airflow: { auth: { rotation: 2 } }");
    expect(changed(before, after)).toEqual([
      ...all,
      "Job airflow-setup-#",
      "Secret airflow-admin",
      "Secret airflow-keys",
    ]);
    const keys = (program: Evaluated) =>
      (find(program, "Secret", "airflow-keys") as unknown as { stringData: Record<string, string> }).stringData;
    const made = Object.keys(keys(before)).filter((key) => keys(before)[key] !== keys(after)[key]);
    expect(made.sort()).toEqual(["jwt-secret", "secret-key"]);
  });

  it("of the database's password runs the set-up Job again before the processes", async () => {
    const after = changed(before, await stack("postgresql: { auth: { rotation: 2 } }"));
    expect(after).toEqual(expect.arrayContaining([...all, "Job airflow-setup-#"]));
  });
});

describe("prod", () => {
  it("has two replicas of what can be replicated, and never stops both", async () => {
    const prod = await stack("{}", "prod");
    const more = ["api-server", "scheduler", "worker"].map((name) => `airflow-${name}`);
    for (const name of more) expect(find(prod, "Deployment", name).spec.replicas).toBe(2);
    const budgets = ours(prod).filter(({ kind }) => kind === "PodDisruptionBudget");
    expect(budgets.map(({ metadata }) => metadata.name).sort()).toEqual(more);
  });
});

describe("the configuration", () => {
  const refusal = (dags: unknown) => {
    try {
      parseConfig("test", { airflow: { dags } });
    } catch (error) {
      return (error as Error).message;
    }
    return "accepted";
  };
  const repository = "https://git.example.com/team/dags.git";

  it.each([
    [
      "two places",
      { configMap: "mine", git: { repository } },
      'stack test: airflow.dags.configMap: found "mine"; expected no ConfigMap beside dags.git: the DAGs have one source',
    ],
    [
      "a password in an address, which is not shown",
      { git: { repository: "https://me:hunter2@git.example.com/dags.git" } },
      'stack test: airflow.dags.git.repository: found "https://…@git.example.com/dags.git"; expected an address without a user or password: put them into a Secret, named in dags.git.existingSecret',
    ],
    [
      "SSH without a key",
      { git: { repository: "git@git.example.com:team/dags.git" } },
      "stack test: airflow.dags.git.existingSecret: found nothing; expected a Secret with the keys ssh-privatekey and known_hosts beside an address of SSH",
    ],
    [
      "a password in an address of SSH, which is not shown",
      { git: { repository: "ssh://git:hunter2@git.example.com/dags.git", existingSecret: "x" } },
      'stack test: airflow.dags.git.repository: found "ssh://…@git.example.com/dags.git"; expected an address without a user or password: put them into a Secret, named in dags.git.existingSecret',
    ],
    [
      "an address that ssh would read as an option",
      { git: { repository: "ssh://git@-oProxyCommand=x/dags.git", existingSecret: "x" } },
      'stack test: airflow.dags.git.repository: found "ssh://git@-oProxyCommand=x/dags.git"; expected a repository\'s address such as https://git.example.com/team/dags.git',
    ],
    [
      "an authority of an address without certificates",
      { git: { repository: "http://git.example.com/dags.git", caConfigMap: "ca" } },
      'stack test: airflow.dags.git.caConfigMap: found "ca"; expected an https:// address beside it: no other one has a certificate',
    ],
    [
      "no repository",
      { git: { branch: "main" } },
      "stack test: airflow.dags.git.repository: found nothing; expected a repository's address such as https://git.example.com/team/dags.git",
    ],
    [
      "a folder outside the repository",
      { git: { repository, folder: "../other" } },
      'stack test: airflow.dags.git.folder: found "../other"; expected a folder of the repository such as dags',
    ],
    [
      "a branch that is an option",
      { git: { repository, branch: "--upload-pack=x" } },
      'stack test: airflow.dags.git.branch: found "--upload-pack=x"; expected a branch or a tag',
    ],
  ])("refuses %s", (_, dags, message) => {
    expect(refusal(dags)).toBe(message);
  });

  it.each([[{}], [{ configMap: "mine" }], [{ git: { repository, folder: "flows/daily" } }]])("takes %j", (dags) => {
    expect(refusal(dags)).toBe("accepted");
  });
});

it("has as much disk for files of tasks, and for logs of workers, as the stack says", async () => {
  const program = await stack("airflow: { scratch: 20Gi, worker: { logs: 5Gi } }");
  const sizes = (process: string) =>
    Object.fromEntries(
      (find(program, "Deployment", `airflow-${process}`).spec.template.spec.volumes as Volume[]).flatMap(
        ({ name, emptyDir }) => (emptyDir ? [[name, emptyDir.sizeLimit]] : []),
      ),
    );
  expect(sizes("worker")).toEqual({ logs: "5Gi", tmp: "20Gi" });
  expect(sizes("dag-processor")).toEqual({ logs: "1Gi", tmp: "20Gi" });
});

interface Volume {
  name: string;
  emptyDir?: { sizeLimit: string };
}
