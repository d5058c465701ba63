// Proves that what an operator can say reaches running software: packages, a connection and a variable of a DAG that
// Airflow reads from git over SSH, a catalog of Trino with a password from a Secret, spilling, tasks that run again
// when a worker is lost, Spark's history and the settings of Spark, Flink and Superset. A preview names the Secrets that
// are missing.
// Does not prove git's refusal of a server with another key, nor the settings of the components in 28-settings.
// Exercises: airflow, trino, superset, spark, flink, nessie, postgresql, redis, minio, docs/spark.md.
import { createHash, randomBytes } from "node:crypto";
import { CoreV1Api } from "@kubernetes/client-node";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { GitServer } from "../../apps/deployd/test/git-server.ts";
import { network } from "../../local/cluster/layout.ts";
import * as airflow from "./airflow.ts";
import { GitOverSsh } from "./git-over-ssh.ts";
import {
  address,
  bucketKeys,
  fileOfComponents,
  get,
  kube,
  kubeConfig,
  leadsToPods,
  mustRun,
  platform,
  pods,
  podsOf,
  query,
  roomFor,
  runIn,
  s3,
  secret,
} from "./kit.ts";
import { application, ended } from "./spark.ts";
import * as superset from "./superset.ts";
import { column, queryInfo, rows, sql, start, tasks } from "./trino.ts";

const [core, apps] = ["dev-core", "dev-apps"];

/** What all of them need. The stack has never more than one of the groups below: together they are too large. */
const always = {
  postgresql: { enabled: true, databases: ["shop"] },
  redis: { enabled: true },
  minio: { enabled: true },
  nessie: { enabled: true },
};
const up = (components: Record<string, object>) =>
  mustRun(["up", "--stack", "dev", "--config-file", fileOfComponents({ ...always, ...components })]);

/** A Secret of the operator's own. */
const keep = (name: string, stringData: Record<string, string>) =>
  kube().apply({ apiVersion: "v1", kind: "Secret", metadata: { name, namespace: apps }, stringData });

/** The password of the database `shop`, which the platform made. */
const shopPassword = async () => (await secret("postgresql-user-shop", core)).password ?? "";

const json = async <T>(url: string, options: RequestInit = {}): Promise<T> => {
  const answer = await fetch(url, options);
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
  return (await answer.json()) as T;
};

const sparkAndFlink = {
  spark: {
    enabled: true,
    // Both tasks of the application's barrier run on it.
    worker: { replicas: 1, cores: 2, resources: { limits: { memory: "2Gi" } } },
    settings: { "spark.sql.shuffle.partitions": 3, "spark.deploy.retainedApplications": 7 },
    history: { enabled: true },
  },
  flink: { enabled: true, settings: { "execution.checkpointing.interval": "7 s" } },
};

/** Airflow with DAGs from a repository at this address. */
const airflowWith = (repository: string) => ({
  airflow: {
    enabled: true,
    packages: ["humanfriendly==10.0"],
    dags: { git: { repository, folder: "flows", existingSecret: "our-dags" } },
    connections: { warehouse: { secretKeyRef: { name: "our-warehouse", key: "uri" } } },
    variables: { region: "north" },
    pools: { heavy: { slots: 3 } },
    settings: { "core.default_timezone": "Europe/Berlin" },
  },
});

const trinoAndSuperset = {
  trino: {
    enabled: true,
    env: { SALES_PASSWORD: { secretKeyRef: { name: "our-sales", key: "password" } } },
    catalogs: {
      sales: {
        "connector.name": "postgresql",
        "connection-url": `jdbc:postgresql://postgresql.${core}.svc:5432/shop`,
        "connection-user": "shop",
        "connection-password": `\${ENV:SALES_PASSWORD}`,
      },
    },
    // A worker spills once a third of its memory is in use, not nearly all.
    settings: { "memory-revoking-threshold": 0.3, "memory-revoking-target": 0.1 },
    worker: { replicas: 1, spill: "4Gi" },
  },
  superset: { enabled: true, config: 'SQL_MAX_ROW = 100\nAPP_NAME = "Our numbers"\n' },
};

const flow = `
import hashlib

from airflow.providers.postgres.hooks.postgres import PostgresHook
from airflow.sdk import Connection, Variable, conf, dag, task


@dag(dag_id="own", schedule=None)
def flow():
    @task
    def use():
        import humanfriendly

        user, = PostgresHook("warehouse").get_first("SELECT current_user")
        # The log hides a password.
        password = hashlib.sha256(Connection.get("warehouse").password.encode()).hexdigest()
        print("proof of the connection:", user, password)
        print("proof of the variable:", Variable.get("region"))
        print("proof of the package:", humanfriendly.format_size(2048, binary=True))
        print("proof of the setting:", conf.get("core", "default_timezone"))

    use()


flow()
`;

let git: GitServer;
let ssh: GitOverSsh;

beforeAll(async () => {
  git = await GitServer.start();
  await git.commit("team/dags", { "flows/own.py": flow });
  await roomFor(undefined);
  // Pods reach this machine at its address on the cluster's network.
  ssh = await GitOverSsh.start(git.folder, network.address);
  await up(sparkAndFlink);
});

afterAll(async () => {
  ssh?.stop();
  git?.stop();
  await mustRun(["destroy", "--stack", "dev"]);
});

describe("Spark", () => {
  const job = `own-${randomBytes(3).toString("hex")}`;
  /** The application as the history server has it. */
  let id: string;
  const history = async <T>(path: string) =>
    json<T>(`http://${await address("spark-history", apps)}:18080/api/v1/applications${path}`);

  it("shows an application in the history when it is over", { timeout: 500_000 }, async () => {
    for (const object of await application(job, apps)) await kube().create(object);
    expect(await ended(job, apps)).toContain("sum: 500500\n");
    type Application = { id: string; name: string; attempts: { completed: boolean }[] };
    id = await vi.waitFor(
      async () => {
        const found = (await history<Application[]>("")).find(({ name }) => name === job);
        expect(found?.attempts.map(({ completed }) => completed)).toEqual([true]);
        return found?.id ?? "";
      },
      { timeout: 120_000, interval: 1_000 },
    );
    const jobs = await history<{ status: string }[]>(`/${id}/jobs`);
    expect(new Set(jobs.map(({ status }) => status))).toEqual(new Set(["SUCCEEDED"]));
  });

  it("has its events in MinIO", async () => {
    const keys = await bucketKeys("spark", apps);
    const client = await s3(keys.accessKey, keys.secretKey, await address("minio", core));
    const objects: { name: string }[] = await client.listObjectsV2("spark", "", true).toArray();
    expect(objects.map(({ name }) => name)).toContainEqual(expect.stringContaining(id));
  });

  it("gives applications the settings that are theirs", async () => {
    const { sparkProperties } = await history<{ sparkProperties: [string, string][] }>(`/${id}/environment`);
    const properties = Object.fromEntries(sparkProperties);
    expect(properties["spark.sql.shuffle.partitions"]).toBe("3");
    expect(properties).not.toHaveProperty("spark.deploy.retainedApplications");
  });
});

describe("Flink", () => {
  const job = `
SET 'pipeline.name' = 'own';
CREATE TEMPORARY TABLE numbers (n BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '1');
CREATE TEMPORARY TABLE nowhere (n BIGINT) WITH ('connector' = 'blackhole');
INSERT INTO nowhere SELECT n FROM numbers;
`;

  it("writes the checkpoints of a job that says nothing as often as the setting says", async () => {
    const url = `http://${await address("flink", apps)}:8081/jobs`;
    const [pod = ""] = await podsOf("flink", "jobmanager", apps);
    const script =
      'printf %s "$1" > /tmp/own.sql; JVM_ARGS="-Xmx128m -Duser.home=/tmp" /opt/flink/bin/sql-client.sh -f /tmp/own.sql';
    const said = await runIn(pod, apps, "jobmanager", ["bash", "-c", script, "say", job]);
    const [, id] = /Job ID: ([0-9a-f]{32})/.exec(said) ?? [];
    if (!id) throw new Error(said);
    try {
      expect(await json(`${url}/${id}/checkpoints/config`)).toMatchObject({ interval: 7_000 });
      type Checkpoints = { counts: { completed: number } };
      await vi.waitFor(
        async () => expect((await json<Checkpoints>(`${url}/${id}/checkpoints`)).counts.completed).toBeGreaterThan(0),
        { timeout: 60_000, interval: 500 },
      );
    } finally {
      await fetch(`${url}/${id}`, { method: "PATCH" });
    }
  });
});

describe("a preview with Secrets that do not exist", () => {
  it("names each with its key and its namespace, before anything changes", async () => {
    const before = await pods(apps);
    const wanted = { ...always, ...airflowWith(ssh.url("team/dags")), ...trinoAndSuperset };
    const { exitCode, all } = await platform([
      ...["preview", "--stack", "dev"],
      ...["--config-file", fileOfComponents(wanted)],
    ]);
    expect(exitCode).not.toBe(0);
    for (const line of [
      "airflow.connections.warehouse.secretKeyRef.name: found no Secret our-warehouse in namespace dev-apps; expected one with the key uri, ",
      "airflow.dags.git.existingSecret: found no Secret our-dags in namespace dev-apps; expected one with the keys known_hosts, ssh-privatekey, ",
      "trino.env.SALES_PASSWORD.secretKeyRef.name: found no Secret our-sales in namespace dev-apps; expected one with the key password, ",
    ])
      expect(all).toContain(`stack dev: ${line}`);
    expect(await pods(apps)).toEqual(before);
  });
});

describe("Airflow", () => {
  let log: string;

  beforeAll(async () => {
    await keep("our-dags", { "ssh-privatekey": ssh.privateKey, known_hosts: ssh.knownHosts });
    const uri = `postgresql://shop:${await shopPassword()}@postgresql.${core}.svc:5432/shop`;
    await keep("our-warehouse", { uri });
    await up(airflowWith(ssh.url("team/dags")));
    await airflow.logIn(apps);
  });

  it("runs a DAG of a private repository, which it reads over SSH", { timeout: 600_000 }, async () => {
    const run = await airflow.runDag("own");
    // The worker uploads the log when the task has ended.
    log = await vi.waitFor(async () => {
      const text = await airflow.logOf("own", run, "use");
      expect(text).toContain("proof of the setting");
      return text;
    }, airflow.patience);
  });

  it("gives its task the connection of a Secret, which opens the database", async () => {
    const password = await shopPassword();
    const hashed = createHash("sha256").update(password).digest("hex");
    expect(log).toContain(`proof of the connection: shop ${hashed}`);
    expect(log).not.toContain(password);
  });

  it("has the pool", async () => {
    expect(await airflow.ask("/api/v2/pools/heavy")).toMatchObject({ name: "heavy", slots: 3 });
  });

  it("gives it the variable and the option", () => {
    expect(log).toContain("proof of the variable: north");
    expect(log).toContain("proof of the setting: Europe/Berlin");
  });

  it("gives it the package, from an image that the platform has built", async () => {
    expect(log).toContain("proof of the package: 2 KiB");
    const [worker = ""] = await podsOf("airflow", "worker", apps);
    const { spec } = (await get("Pod", worker, apps)) ?? {};
    expect(spec?.containers[0].image).toMatch(/^data-platform\/airflow:3\.3\.2-[0-9a-f]{8}$/);
  });
});

describe("Trino", () => {
  const here = { namespace: apps };

  beforeAll(async () => {
    const password = await shopPassword();
    await query(
      "shop",
      password,
      "CREATE TABLE orders AS SELECT n AS id, (n * 1.5)::numeric(10, 2) AS price FROM generate_series(1, 4) n",
    );
    await keep("our-sales", { password });
    await up(trinoAndSuperset);
    await leadsToPods("trino", 8080, apps);
  });

  it("reads a catalog of the operator's own, whose password is in no ConfigMap", async () => {
    expect(await sql("SELECT count(*), sum(price) FROM sales.public.orders", here)).toEqual([[4, "15.00"]]);
    const { data } = (await get("ConfigMap", "trino-catalogs", apps)) as unknown as { data: Record<string, string> };
    expect(data["sales.properties"]).toContain(`connection-password=\${ENV:SALES_PASSWORD}`);
  });

  const orders = 4_500_000;
  // Grouped by a value that the table is not sorted by: else Trino would need little memory.
  const large = `SELECT count(*), count(text), count(clerk) FROM (
    SELECT bitwise_xor(orderkey, 1) AS key, max(comment) AS text, max(clerk) AS clerk FROM tpch.sf3.orders GROUP BY 1)`;

  it("spills to a worker's disk what does not fit into its memory", { timeout: 600_000 }, async () => {
    const begun = await start(large, here);
    expect(await rows(begun)).toEqual([[orders, orders, orders]]);
    const spilled = await vi.waitFor(
      async () => {
        const { queryStats } = JSON.parse(await queryInfo(begun.id, apps));
        expect(queryStats.spilledDataSize).toMatch(/^[1-9][\d.]*[kMG]?B$/);
        return queryStats.spilledDataSize as string;
      },
      { timeout: 10_000, interval: 500 },
    );
    console.log(`${spilled} were spilled`);
  });

  it("fails the same query if it may not spill", { timeout: 600_000 }, async () => {
    const without = { ...here, session: "spill_enabled=false" };
    await expect(sql(large, without)).rejects.toThrow(/exceeded per-node memory limit/);
  });
});

describe("Superset", () => {
  it("returns as many rows as its configuration says", async () => {
    await superset.logIn(apps);
    const { data } = await superset.execute("PostgreSQL", "SELECT generate_series(1, 500) AS n");
    expect(data).toHaveLength(100);
  });

  it("has the name of its configuration on its pages", async () => {
    const page = await fetch(`http://${await address("superset", apps)}:8088/login/`);
    expect(await page.text()).toContain("Our numbers");
  });
});

describe("Trino that runs lost tasks again", () => {
  const here = { namespace: apps };
  // Of files in MinIO: rows of tpch are made on a worker of their own, and by no other.
  const hash = "sha512(sha512(sha512(to_utf8(comment))))";
  const scan = `SELECT count(*), sum(from_big_endian_64(substr(${hash}, 1, 8)) % 1000) FROM iceberg.own.lineitem`;

  beforeAll(async () => {
    await up({ trino: { enabled: true, faultTolerance: "task", worker: { replicas: 2 } } });
    await leadsToPods("trino", 8080, apps);
    // A worker that drains is active until the coordinator asks it again. Rows of tpch that are given to it find no other.
    const active =
      "SELECT node_id FROM system.runtime.nodes WHERE state = 'active' AND NOT coordinator ORDER BY node_id";
    await vi.waitFor(async () => expect(await column(active, here)).toEqual(await podsOf("trino", "worker", apps)), {
      timeout: 180_000,
      interval: 1_000,
    });
    await sql("CREATE SCHEMA iceberg.own", here);
    await sql("CREATE TABLE iceberg.own.lineitem AS SELECT comment FROM tpch.sf1.lineitem", here);
  });

  it("answers a query although one of its workers is killed", { timeout: 600_000 }, async () => {
    const expected = await sql(scan, here);
    const begun = await start(scan, here);
    const result = rows(begun);
    // Prevents an unhandled rejection: an error is thrown where the result is awaited.
    result.catch(() => {});
    const workers = await podsOf("trino", "worker", apps);
    const killed = await vi.waitFor(
      async () => {
        for (const worker of workers) if ((await tasks(begun.id, worker, apps)).includes("RUNNING")) return worker;
        throw new Error("no worker runs a task");
      },
      { timeout: 60_000, interval: 100 },
    );
    await kubeConfig()
      .makeApiClient(CoreV1Api)
      .deleteNamespacedPod({ name: killed, namespace: apps, gracePeriodSeconds: 0 });
    expect(await result).toEqual(expected);
    const { queryStats } = JSON.parse(await queryInfo(begun.id, apps));
    expect(queryStats.failedTasks).toBeGreaterThan(0);
  });
});
