import { z } from "zod";
import { autoscaleByQueue } from "../../config/autoscale.ts";
import { auth, block, count, enabled, image, resources, service } from "../../config/fields.ts";
import { workload } from "../../config/pods.ts";
import { passwordInside } from "../../config/settings.ts";
import { component } from "../kit/definition.ts";
import { supersetImages } from "./images.ts";

/** What joins Superset's processes and the other components, by the key to use instead. */
const taken: Record<string, string> = {
  CACHE_REDIS_URL: "",
  CELERY_CONFIG: "",
  QUEUE_REDIS_URL: "",
  RATELIMIT_STORAGE_URI: "",
  RESULTS_BACKEND: "",
  SECRET_KEY: "",
  SQLALCHEMY_DATABASE_URI: "postgresql.auth",
  SQLALCHEMY_ENGINE_OPTIONS: "postgresql.maxConnections",
  STATS_LOGGER: "monitoring.enabled",
};

/** Lines of Python at the end of `superset_config.py`. */
const pythonConfig = z
  .string({ error: "expected lines of Python" })
  .superRefine((text, context) => {
    const refuse = (message: string, hidden = false) =>
      context.addIssue({ code: "custom", input: text, message, params: { hidden } });
    for (const [name, instead] of Object.entries(taken))
      if (new RegExp(`^(class +)?${name}\\b *(:[^=\\n]+)?(=(?!=)|\\(|:\\s*$)`, "m").test(text))
        refuse(`expected no ${name} in it: the platform sets this one${instead && `; use ${instead} instead`}`);
    const literal = /^\s*\w*(PASSWORD|SECRET|TOKEN|API_KEY|PRIVATE_KEY)\w*\s*(:[^=\n]+)?=\s*[rbfu]*["'][^"']/im;
    if (literal.test(text) || passwordInside.test(text))
      refuse(
        'expected no password here: write os.environ["NAME"], with the variable NAME from a Secret\'s key in superset.env',
        true,
      );
    if (/^\t* *\t/m.test(text)) refuse("expected spaces before a line, and no tabs");
  })
  .default("")
  .describe(
    'Lines of Python at the end of `superset_config.py`, such as `FEATURE_FLAGS = {...}`. A password is `os.environ["NAME"]`, with the variable in `superset.env`.',
  );

const config = block({
  enabled: enabled(),
  // `apache/superset:6.1.0` with the drivers of the platform's databases: components/superset/images/superset-drivers.
  image: image("data-platform/superset:6.1.0"),
  web: block({
    replicas: count("servers", 1, 16).default(1).describe("Web servers."),
    workers: count("processes", 1, 64).default(1).describe("Processes of one web server, each with several threads."),
    resources: resources({ cpu: "100m", memory: "384Mi", limit: "768Mi" }),
  }).prefault({}),
  worker: block({
    replicas: count("workers", 1, 16)
      .default(1)
      .describe("Celery workers, which run SQL Lab's queries, two at a time each."),
    autoscale: autoscaleByQueue("workers", 16, "waiting in Redis; those that run are not counted"),
    resources: resources({ cpu: "50m", memory: "448Mi", limit: "768Mi" }),
  }).prefault({}),
  beat: block({
    resources: resources({ cpu: "10m", memory: "256Mi", limit: "384Mi" }),
  }).prefault({}),
  ...workload({
    priority: "web",
    roles: ["web", "worker", "beat"],
    sets: {
      FLASK_APP: "",
      HOME: "",
      PYTHONPATH: "",
      SCARF_ANALYTICS: "",
      SUPERSET_ENV: "",
      SUPERSET_HOME: "",
      SUPERSET_SECRET_KEY: "",
      POD_IP: "",
      "SET_UP_*": "",
      ADMIN_PASSWORD: "superset.auth",
      CACHE_PASSWORD: "redis.auth",
      QUEUE_PASSWORD: "redis.auth",
      DATABASE_PASSWORD: "postgresql.auth",
      DATABASE_USERNAME: "postgresql.auth",
      POSTGRESQL_PASSWORD: "postgresql.auth",
      POSTGRESQL_USERNAME: "postgresql.auth",
      CLICKHOUSE_PASSWORD: "clickhouse.auth",
      CLICKHOUSE_USERNAME: "clickhouse.auth",
    },
  }),
  config: pythonConfig,
  service,
  auth: auth("the key password, the user admin's"),
}).prefault({});

export const superset = component({
  title: "Apache Superset",
  summary: "Dashboards and SQL in the browser",
  folder: "superset",
  images: supersetImages,
  namespace: "apps",
  config,
  needs: { postgresql: "it keeps its state there", redis: "its cache and its workers' queue are there" },
  uses: ["trino", "clickhouse", "monitoring"],
});
