import { z } from "zod";
import { autoscaleByQueue } from "../../config/autoscale.ts";
import { derived, missing } from "../../config/derived.ts";
import {
  auth,
  block,
  count,
  enabled,
  image,
  memory,
  objectName,
  resources,
  service,
  variableValue,
} from "../../config/fields.ts";
import { workload } from "../../config/pods.ts";
import { passwordInside, secretSetting, settings } from "../../config/settings.ts";
import { component } from "../kit/definition.ts";
import { airflowImages } from "./images.ts";
import { packages } from "./packages.ts";

const repositoryExpected = "expected a repository's address such as https://git.example.com/team/dags.git";
/** By http or https without a user, or by SSH with one. */
export const repositoryAddress =
  /^(https?:\/\/[^\s/@]+\/\S+|ssh:\/\/\w[\w.-]*@\w[\w.-]*(:\d+)?\/\S+|\w[\w.-]*@\w[\w.-]*:[^\s/:]\S*)$/;
/** Whether git reaches a repository by http or https. */
export const isHttp = derived("isHttp", (repository: string): boolean => /^https?:/.test(repository));
/** Whether git reaches a repository by SSH. */
export const isSsh = (repository: string): boolean => missing(isHttp(repository));

/** Where the DAGs come from: the platform's example, a ConfigMap, or a git repository. */
const dags = block({
  configMap: objectName
    .optional()
    .describe(
      "Name of a ConfigMap in the component's namespace whose keys are the DAGs' files. Default: one with an example, which the platform makes.",
    ),
  git: block({
    repository: z
      .string({ error: repositoryExpected })
      .superRefine((address, context) => {
        const refuse = (message: string, input = address) => context.addIssue({ code: "custom", input, message });
        if (/^https?:\/\/[^/]*@|^ssh:\/\/[^/]*:[^/]*@/.test(address))
          // It may be a password, so it is not shown.
          refuse(
            "expected an address without a user or password: put them into a Secret, named in dags.git.existingSecret",
            address.replace(/\/\/.*@/, "//…@"),
          );
        else if (!repositoryAddress.test(address)) refuse(repositoryExpected);
      })
      .describe("Address of the repository: https://, http://, ssh:// or as in git@git.example.com:team/dags.git."),
    branch: z
      .string({ error: "expected a branch or a tag" })
      .regex(/^[\w][\w./-]*$/, { error: "expected a branch or a tag" })
      .default("main")
      .describe("Branch or tag that is followed. It is asked for changes once a minute."),
    folder: z
      .string({ error: "expected a folder of the repository such as dags" })
      .regex(/^(?!.*\.\.)[\w.-]+(\/[\w.-]+)*$/, { error: "expected a folder of the repository such as dags" })
      .optional()
      .describe("Folder of the repository that the DAGs are in. Default: all of it."),
    existingSecret: objectName
      .optional()
      .describe(
        "Name of a Secret in the component's namespace that opens the repository; it holds the keys username and password, or for SSH ssh-privatekey and known_hosts.",
      ),
    caConfigMap: objectName
      .optional()
      .describe(
        "Name of a ConfigMap in the component's namespace with the key ca.crt: the certificates of a private authority that an https:// server's is signed by. Default: those of the image.",
      ),
  })
    .superRefine(({ repository, existingSecret, caConfigMap }, context) => {
      const refuse = (key: string, input: unknown, message: string) =>
        context.addIssue({ code: "custom", path: [key], input, message });
      const overSsh = isSsh(repository);
      if (overSsh && !existingSecret)
        refuse(
          "existingSecret",
          existingSecret,
          "expected a Secret with the keys ssh-privatekey and known_hosts beside an address of SSH",
        );
      if (caConfigMap && !repository.startsWith("https://"))
        refuse("caConfigMap", caConfigMap, "expected an https:// address beside it: no other one has a certificate");
    })
    .optional()
    .describe("Git repository with the DAGs, instead of a ConfigMap."),
})
  .superRefine(({ configMap, git }, context) => {
    if (configMap && git)
      context.addIssue({
        code: "custom",
        path: ["configMap"],
        input: configMap,
        message: "expected no ConfigMap beside dags.git: the DAGs have one source",
      });
  })
  .prefault({});

/**
 * Options that join Airflow's processes, the other components and the kubelet's probes, by the key to use instead. Both
 * as `settings` and as variables.
 */
const taken = {
  "api.host": "",
  "api.port": "",
  "api.secret_key": "airflow.auth.rotation",
  "api.workers": "airflow.apiServer.replicas",
  "api_auth.jwt_secret": "airflow.auth.rotation",
  "celery.broker_url": "redis.auth",
  "celery.celery_config_options": "",
  "celery.result_backend": "postgresql.auth",
  "celery.worker_concurrency": "airflow.worker.concurrency",
  "core.auth_manager": "",
  "core.dags_folder": "airflow.dags",
  "core.default_pool_task_slot_count": "airflow.pools",
  "core.execution_api_server_url": "",
  "core.executor": "",
  "core.fernet_key": "",
  "core.hostname_callable": "",
  "core.parallelism": "airflow.worker.concurrency",
  "dag_processor.dag_bundle_config_list": "airflow.dags",
  "database.sql_alchemy_conn": "postgresql.auth",
  "database.sql_alchemy_max_overflow": "postgresql.maxConnections",
  "database.sql_alchemy_pool_size": "postgresql.maxConnections",
  "fab.config_file": "",
  "logging.base_log_folder": "",
  "logging.delete_local_logs": "",
  "logging.remote_base_log_folder": "",
  "logging.remote_log_conn_id": "",
  "logging.remote_logging": "",
  "logging.trigger_log_server_port": "",
  "logging.worker_log_server_port": "",
  "metrics.*": "monitoring.enabled",
  "scheduler.enable_health_check": "",
  "scheduler.scheduler_health_check_server_host": "",
  "scheduler.scheduler_health_check_server_port": "",
};
/** The same as variables: `core.executor` is `AIRFLOW__CORE__EXECUTOR`. */
const takenVariables = Object.fromEntries(
  Object.entries(taken).map(([option, instead]) => [`AIRFLOW__${option.replace(".", "__").toUpperCase()}`, instead]),
);

const idExpected = "expected an ID of lower-case letters, digits and underscores";
/** Connections or variables of Airflow, which it reads from the environment by the ID in capitals. */
const fromEnvironment = (what: string, taken: readonly string[]) =>
  z
    .record(z.string().regex(/^[a-z][a-z0-9_]{0,199}$/, { error: idExpected }), variableValue, {
      error: `expected ${what} by their IDs`,
    })
    .superRefine((all, context) => {
      for (const [id, value] of Object.entries(all)) {
        const refuse = (message: string, hidden = true) =>
          context.addIssue({ code: "custom", path: [id], message, params: { hidden } });
        if (taken.includes(id)) refuse("expected another ID: the platform has a connection by this one");
        else if (
          typeof value === "string" &&
          (passwordInside.test(value) ||
            secretSetting.test(id) ||
            /"(password|[^"]*(secret|token|key))"\s*:\s*"[^"]/i.test(value))
        )
          refuse("expected no password here: name a Secret's key by secretKeyRef");
      }
    })
    .default({});

const pool = block({
  slots: count("slots", -1, 100_000).describe("Tasks that run in the pool at once; -1 for any number."),
  description: z.string({ error: "expected a text" }).default("").describe("Text that the pages show."),
  includeDeferred: z
    .boolean({ error: "expected true or false" })
    .default(false)
    .describe("Whether a task that waits in the triggerer takes a slot."),
});

const config = block({
  enabled: enabled(),
  image: image("apache/airflow:3.3.2"),
  packages,
  apiServer: block({
    replicas: count("servers", 1, 16).default(1).describe("API servers, which serve the web pages too."),
    resources: resources({ cpu: "100m", memory: "704Mi", limit: "1Gi" }),
  }).prefault({}),
  scheduler: block({
    replicas: count("schedulers", 1, 8).default(1).describe("Schedulers. They share the work by way of the database."),
    resources: resources({ cpu: "100m", memory: "512Mi" }),
  }).prefault({}),
  dagProcessor: block({
    resources: resources({ cpu: "50m", memory: "512Mi" }),
  }).prefault({}),
  triggerer: block({
    resources: resources({ cpu: "50m", memory: "512Mi" }),
  }).prefault({}),
  worker: block({
    replicas: count("workers", 1, 100).default(1).describe("Celery workers, which run the tasks."),
    autoscale: autoscaleByQueue("workers", 100, "queued and running; `worker.concurrency` suits"),
    concurrency: count("tasks", 1, 128).default(2).describe("Tasks that one worker runs at once."),
    logs: memory
      .prefault("1Gi")
      .describe("Disk of each worker that the logs of running tasks may fill. One that is over is in MinIO."),
    resources: resources({ cpu: "100m", memory: "1Gi", limit: "1536Mi" }),
  }).prefault({}),
  scratch: memory
    .prefault("1Gi")
    .describe("Disk of each pod for `/tmp`: files of tasks, and the clone of the DAGs' repository."),
  ...workload({
    priority: "compute",
    roles: ["api-server", "scheduler", "dag-processor", "triggerer", "worker"],
    sets: {
      ...takenVariables,
      AIRFLOW_CONFIG: "",
      AIRFLOW_CONN_DAGS: "airflow.dags.git.repository",
      AIRFLOW_CONN_MINIO: "",
      AIRFLOW_HOME: "",
      GIT_CONFIG_COUNT: "",
      GIT_CONFIG_KEY_0: "",
      GIT_CONFIG_VALUE_0: "",
      GIT_PASSWORD: "airflow.dags.git.existingSecret",
      GIT_SSL_CAINFO: "airflow.dags.git.caConfigMap",
      GIT_TERMINAL_PROMPT: "",
      GIT_USERNAME: "airflow.dags.git.existingSecret",
      HOME: "",
      LOGS_ACCESS_KEY: "",
      LOGS_SECRET_KEY: "",
      POD_IP: "",
      "SET_UP_*": "",
      PYTHONPATH: "",
      ADMIN_PASSWORD: "airflow.auth",
      AIRFLOW__CELERY__BROKER_URL_CMD: "redis.auth",
      QUEUE_PASSWORD: "redis.auth",
      DATABASE_PASSWORD: "postgresql.auth",
      DATABASE_USERNAME: "postgresql.auth",
    },
  }),
  dags,
  settings: settings({
    sets: taken,
    name: /^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$/,
    example: "core.default_timezone",
    passwords: "name a Secret's key for the variable AIRFLOW__SECTION__KEY in airflow.env",
  }).describe("Options of `airflow.cfg` by section and key, such as `core.default_timezone: Europe/Berlin`."),
  connections: fromEnvironment("connections", ["dags", "minio"]).describe(
    "Connections of tasks by their IDs, each a URI or JSON: a key by `secretKeyRef: {name, key}`, or a text without a password.",
  ),
  variables: fromEnvironment("variables", []).describe(
    "Variables of DAGs by their IDs: a text, or a key by `secretKeyRef: {name, key}`.",
  ),
  pools: z
    .record(
      z
        .string()
        .regex(/^[\w.-]{1,250}$/, { error: "expected a pool's name of letters, digits, dots, dashes and underscores" }),
      pool,
      { error: "expected pools by their names" },
    )
    .default({})
    .describe("Pools, by their names. One that is removed here stays."),
  service,
  auth: auth("the key password, the user admin's"),
}).prefault({});

export const airflow = component({
  title: "Apache Airflow",
  summary: "Workflows on a schedule, with Celery workers",
  folder: "airflow",
  images: airflowImages,
  namespace: "apps",
  config,
  needs: {
    postgresql: "it keeps its state there",
    redis: "its workers get their tasks there",
    minio: "its logs are stored there",
  },
  uses: ["monitoring"],
});
