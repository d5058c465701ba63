// Proves for each component with settings of its own that every line of its configuration files is either replaced by
// the stack's or refused, that a new setting is added, and that both roll the pods that read the file, and no others.
// Does not prove that the software accepts a setting: the cluster tests do, for some of each component.
import { describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { ConfigProblems, parseConfig } from "../../config/problems.ts";
import { changed, evaluated, named } from "./stacks.ts";

interface File {
  /** The key that the settings are under. */
  key: string;
  configMap: string;
  file: string;
  /** Between name and value. */
  between: string;
  /** A setting that the platform does not set. */
  own: [name: string, value: string];
  /** How the file has its value. Default: as it is. */
  written?: string;
  /** The objects that change: the file, and what reads it. */
  rolls: string[];
}

const files: File[] = [
  {
    key: "postgresql.settings",
    configMap: "postgresql-config",
    file: "postgresql.conf",
    between: " = ",
    own: ["pg_stat_statements.max", "it's"],
    written: "'it''s'",
    rolls: ["ConfigMap postgresql-config", "StatefulSet postgresql"],
  },
  {
    key: "redis.settings",
    configMap: "redis-config",
    file: "redis.conf",
    between: " ",
    own: ["slowlog-max-len", "256"],
    rolls: ["ConfigMap redis-config", "StatefulSet redis"],
  },
  {
    key: "kafka.settings",
    configMap: "kafka-config",
    file: "server.properties",
    between: "=",
    own: ["log.retention.hours", "48"],
    rolls: ["ConfigMap kafka-config", "StatefulSet kafka"],
  },
  {
    key: "trino.settings",
    configMap: "trino-coordinator",
    file: "config.properties",
    between: "=",
    own: ["query.max-run-time", "2h"],
    rolls: [
      "ConfigMap trino-coordinator",
      "ConfigMap trino-worker",
      "Deployment trino-coordinator",
      "Deployment trino-worker",
    ],
  },
  {
    key: "trino.worker.settings",
    configMap: "trino-worker",
    file: "config.properties",
    between: "=",
    own: ["task.concurrency", "4"],
    rolls: ["ConfigMap trino-worker", "Deployment trino-worker"],
  },
  {
    key: "trino.catalogs.iceberg",
    configMap: "trino-catalogs",
    file: "iceberg.properties",
    between: "=",
    own: ["iceberg.target-max-file-size", "256MB"],
    rolls: ["ConfigMap trino-catalogs", "Deployment trino-coordinator", "Deployment trino-worker"],
  },
  {
    key: "nessie.settings",
    configMap: "nessie-config",
    file: "application.properties",
    between: "=",
    own: ['quarkus.log.category."org.projectnessie".level', "DEBUG"],
    rolls: ["ConfigMap nessie-config", "Deployment nessie"],
  },
  {
    key: "flink.settings",
    configMap: "flink-jobmanager",
    file: "config.yaml",
    between: ": ",
    own: ["execution.checkpointing.interval", "1 min"],
    written: '"1 min"',
    rolls: [
      "ConfigMap flink-jobmanager",
      "ConfigMap flink-taskmanager",
      "Deployment flink-jobmanager",
      "Deployment flink-taskmanager",
    ],
  },
  {
    key: "flink.taskManager.settings",
    configMap: "flink-taskmanager",
    file: "config.yaml",
    between: ": ",
    own: ["taskmanager.memory.managed.fraction", "0.2"],
    written: '"0.2"',
    rolls: ["ConfigMap flink-taskmanager", "Deployment flink-taskmanager"],
  },
  {
    // Drivers mount the file; no pod of the platform reads it.
    key: "spark.settings",
    configMap: "spark-application",
    file: "spark-defaults.conf",
    between: " ",
    own: ["spark.sql.shuffle.partitions", "16"],
    rolls: ["ConfigMap spark-application"],
  },
  {
    key: "spark.settings",
    configMap: "spark-config",
    file: "spark-defaults.conf",
    between: " ",
    own: ["spark.deploy.retainedApplications", "50"],
    rolls: ["ConfigMap spark-config", "Deployment spark-master", "Deployment spark-worker"],
  },
  {
    key: "airflow.settings",
    configMap: "airflow-config",
    file: "airflow.cfg",
    between: " = ",
    own: ["core.default_timezone", "Europe/Berlin"],
    rolls: [
      "ConfigMap airflow-config",
      "Deployment airflow-api-server",
      "Deployment airflow-dag-processor",
      "Deployment airflow-scheduler",
      "Deployment airflow-triggerer",
      "Deployment airflow-worker",
    ],
  },
];

const all = { monitoring: { enabled: true } };

/** The configuration with `settings` under a key with dots. */
const at = (key: string, settings: object): Record<string, object> =>
  key.split(".").reduceRight<object>((inner, name) => ({ [name]: inner }), settings) as Record<string, object>;

const refusals = (config: Record<string, object>): string[] => {
  try {
    parseConfig("test", { ...all, ...config });
  } catch (error) {
    if (error instanceof ConfigProblems) return error.problems;
    throw error;
  }
  return [];
};

describe.each(files)(
  "$key in $configMap",
  ({ key, configMap, file, between, own: [name, value], written = value, rolls }) => {
    const rendered = async (settings: object) =>
      evaluated("test", { changes: stringify({ ...all, ...at(key, settings) }) });
    const textOf = async (settings: object) =>
      (named(await rendered(settings), "ConfigMap", configMap).data as Record<string, string>)[file] ?? "";
    /** The names of a file's settings, each after its section's if it has sections. */
    const namesIn = (text: string) => {
      let section = "";
      return text.split("\n").flatMap((line) => {
        section = /^\[(\w+)\]$/.exec(line)?.[1] ?? section;
        if (!line.trim() || /^[#[]/.test(line)) return [];
        const found = line.split(between.trim() || between)[0]?.trim() ?? "";
        return [section ? `${section}.${found}` : found];
      });
    };
    const lineOf = (setting: string) => (file.endsWith(".cfg") ? setting.split(".")[1] : setting);

    it("replaces or refuses each line of the platform's", async () => {
      const names = [...new Set(namesIn(await textOf({})))];
      expect(names.length).toBeGreaterThan(2);
      const free: string[] = [];
      for (const one of names) {
        const found = refusals(at(key, { [one]: "42" }));
        if (found.length === 0) free.push(one);
        for (const message of found)
          expect(message).toMatch(
            /expected (another setting: the platform sets this one(; use [\w. ]+ instead)?$|no password here)/,
          );
      }
      const after = namesIn(await textOf(Object.fromEntries(free.map((one) => [one, "42"]))));
      expect(after).toEqual(namesIn(await textOf({})));
    });

    it("adds another one at the end, and rolls what reads the file", async () => {
      expect(await textOf({ [name]: value })).toContain(`\n${lineOf(name)}${between}${written}\n`);
      expect(changed(await rendered({}), await rendered({ [name]: value }))).toEqual(rolls);
    });

    it("holds no password", () => {
      for (const secret of ["own.password", "own-secret", "own_token"]) {
        const [message] = refusals(at(key, { [secret]: "hunter2" }));
        expect(message).not.toContain("hunter2");
        expect(message).toMatch(/expected (no password here|a setting's name)/);
      }
    });
  },
);

it("extensions of PostgreSQL are created in their databases, by the Job that creates these", async () => {
  const extensions = { shop: ["pg_trgm", "uuid-ossp"], airflow: ["hstore"] };
  const program = await evaluated("test", {
    changes: stringify({ postgresql: { databases: ["shop"], extensions } }),
  });
  const job = program.objects.find(
    ({ kind, metadata }) => kind === "Job" && metadata.name.startsWith("postgresql-users-"),
  );
  const { command, env } = job?.spec.template.spec.containers[0] ?? {};
  expect(env).toContainEqual({ name: "EXTENSIONS", value: "shop:pg_trgm shop:uuid-ossp airflow:hstore" });
  const script: string = command.at(-1);
  expect(script.indexOf("CREATE EXTENSION IF NOT EXISTS")).toBeGreaterThan(script.indexOf("CREATE DATABASE"));
  // Without extensions, neither the variable nor the command is there: the Job's name would change.
  const [before] = (await evaluated("test")).objects.filter(
    ({ kind, metadata }) => kind === "Job" && metadata.name.startsWith("postgresql-users-"),
  );
  expect(JSON.stringify(before)).not.toMatch(/EXTENSION/);
});
