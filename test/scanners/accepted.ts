import type { Scanner } from "./scan.ts";

/** Objects by kind, namespace and name, as `nameOf` of scan.ts writes them, without the stack. */
export type Objects = readonly string[] | { everyWorkloadBut: readonly string[] };

/** A check that objects fail. `objects` may differ by stack. */
export interface Check {
  scanner: Scanner;
  id: string;
  objects: Objects | { test: Objects; prod: Objects };
  /** kube-score's lower level. */
  warning: boolean;
}

/** Findings that stay, for one reason. */
export interface Accepted {
  finding: string;
  /** Why they stay: Markdown, in the table of docs/security.md. */
  why: string;
  checks: readonly Check[];
}

const everyWorkload: Objects = { everyWorkloadBut: [] };
const of =
  (scanner: Scanner, warning = false) =>
  (id: string, objects: Check["objects"]): Check => ({ scanner, id, objects, warning });
const checkov = of("checkov");
const kubeScore = of("kube-score");
const kubeScoreWarning = of("kube-score", true);
const trivy = of("trivy");

const airflow = [
  "Deployment apps/airflow-api-server",
  "Deployment apps/airflow-dag-processor",
  "Deployment apps/airflow-scheduler",
  "Deployment apps/airflow-triggerer",
  "Deployment apps/airflow-worker",
  "Job apps/airflow-setup",
];
const webApp = [
  "CronJob apps/app-cronjob-backup",
  "CronJob apps/app-cronjob-restore",
  "Deployment apps/app-deployment-flask",
  "Deployment apps/app-deployment-worker",
];

/**
 * Every finding of the scanners in the stacks test and prod. test/program/scanners.test.ts fails with one that is not
 * here, and with one that is here and no longer found. `npm run docs` writes the table of docs/security.md from it.
 */
export const accepted: readonly Accepted[] = [
  {
    finding: "no CPU limit",
    why: "a limit slows a server while its node has time to spare. Each component has `resources.limits.cpu`, which its Jobs and init containers follow",
    checks: [
      checkov("CKV_K8S_11", everyWorkload),
      kubeScore("container-resources", everyWorkload),
      trivy("KSV-0011", everyWorkload),
    ],
  },
  {
    finding: "image is not always pulled",
    why: "tags that move are refused, so a pull would find the same image; `global.imagePullPolicy` changes it",
    checks: [checkov("CKV_K8S_15", everyWorkload), kubeScore("container-image-pull-policy", everyWorkload)],
  },
  {
    finding: "image without a digest",
    why: "a digest is accepted everywhere, and `global.imageDigests` adds them: [images](images.md)",
    checks: [checkov("CKV_K8S_43", everyWorkload)],
  },
  {
    finding: "image of a registry that trivy does not trust",
    why: "it trusts those of three clouds; the official images are in others. `global.imageRegistry` names yours",
    checks: [
      trivy("KSV-0125", {
        everyWorkloadBut: [
          "Deployment apps/app-deployment-redis",
          "Job core/postgresql-users",
          "StatefulSet apps/noetl-nats",
          "StatefulSet core/postgresql",
          "StatefulSet core/redis",
        ],
      }),
    ],
  },
  {
    finding: "Secrets as variables, not files",
    why: "what the software offers; where it reads a file it gets one, as PostgreSQL and NATS do",
    checks: [
      checkov("CKV_K8S_35", {
        everyWorkloadBut: [
          "Deployment apps/deployd",
          "Deployment apps/schema-registry",
          "Job apps/kafka-topics",
          "StatefulSet apps/noetl-nats",
          "StatefulSet core/postgresql",
        ],
      }),
    ],
  },
  {
    finding: "user id below 10000",
    why: "those of the official images, whose files belong to them, and of volumes that exist. `global.cluster: openshift` leaves the id to the cluster",
    checks: [
      checkov("CKV_K8S_40", { everyWorkloadBut: [...airflow, ...webApp, "Deployment core/nessie"] }),
      trivy("KSV-0020", { everyWorkloadBut: [...airflow, ...webApp] }),
    ],
  },
  {
    finding: "user or group id below 10000",
    why: "as above",
    checks: [
      kubeScore("container-security-context-user-group-id", {
        everyWorkloadBut: [...webApp, "Deployment core/nessie"],
      }),
      trivy("KSV-0021", { everyWorkloadBut: [...webApp, "Deployment core/nessie"] }),
    ],
  },
  {
    finding: "group 0",
    why: "Airflow's image gives its files to group 0, as OpenShift expects it; no capability comes with that group",
    checks: [trivy("KSV-0116", airflow)],
  },
  {
    finding: "the same probe for readiness and liveness",
    why: "liveness has three minutes and more patience",
    checks: [
      kubeScore("pod-probes-identical", [
        "Deployment apps/airflow-dag-processor",
        "Deployment apps/airflow-scheduler",
        "Deployment apps/airflow-triggerer",
        "Deployment apps/airflow-worker",
        "Deployment apps/app-deployment-redis",
        "Deployment apps/flink-jobmanager",
        "Deployment apps/flink-taskmanager",
        "Deployment apps/spark-master",
        "Deployment apps/superset",
        "StatefulSet apps/clickhouse",
        "StatefulSet apps/kafka",
        "StatefulSet apps/noetl",
        "StatefulSet apps/noetl-nats",
        "StatefulSet apps/noetl-worker",
        "StatefulSet core/postgresql",
        "StatefulSet core/redis",
      ]),
    ],
  },
  {
    finding: "no readiness probe",
    why: "`superset-worker`, `superset-beat` and the web app's worker serve no connection",
    checks: [
      checkov("CKV_K8S_9", [
        "Deployment apps/app-deployment-worker",
        "Deployment apps/superset-beat",
        "Deployment apps/superset-worker",
      ]),
    ],
  },
  {
    finding: "one replica",
    why: "`test` has the shape of prod at its smallest; the others run once by their design: [availability](availability.md)",
    checks: [
      kubeScoreWarning("deployment-replicas", {
        test: [
          "Deployment apps/airflow-api-server",
          "Deployment apps/app-deployment-flask",
          "Deployment apps/app-deployment-redis",
          "Deployment apps/deployd",
          "Deployment apps/flink-jobmanager",
          "Deployment apps/flink-taskmanager",
          "Deployment apps/polls",
          "Deployment apps/schema-registry",
          "Deployment apps/spark-master",
          "Deployment apps/superset",
          "Deployment apps/trino-coordinator",
          "Deployment core/nessie",
        ],
        prod: [
          "Deployment apps/app-deployment-redis",
          "Deployment apps/deployd",
          "Deployment apps/spark-master",
          "Deployment apps/trino-coordinator",
        ],
      }),
    ],
  },
  {
    finding: "no anti-affinity",
    why: "replicas are spread by topology constraints, which kube-score does not read",
    checks: [
      kubeScoreWarning("deployment-has-host-podantiaffinity", {
        test: ["Deployment apps/spark-worker", "Deployment apps/trino-worker"],
        prod: [
          "Deployment apps/airflow-api-server",
          "Deployment apps/airflow-scheduler",
          "Deployment apps/airflow-worker",
          "Deployment apps/app-deployment-flask",
          "Deployment apps/app-deployment-worker",
          "Deployment apps/flink-jobmanager",
          "Deployment apps/flink-taskmanager",
          "Deployment apps/polls",
          "Deployment apps/schema-registry",
          "Deployment apps/spark-worker",
          "Deployment apps/superset",
          "Deployment apps/trino-worker",
          "Deployment core/nessie",
        ],
      }),
      kubeScoreWarning("statefulset-has-host-podantiaffinity", {
        test: [],
        prod: ["StatefulSet apps/kafka", "StatefulSet core/minio"],
      }),
    ],
  },
  {
    finding: "stops before its successor starts",
    why: "the web app's Redis: both would have the same volume",
    checks: [kubeScoreWarning("deployment-strategy", ["Deployment apps/app-deployment-redis"])],
  },
  {
    finding: "CronJob may start late",
    why: "a late backup is better than none; the other one is suspended",
    checks: [
      kubeScore("cronjob-has-deadline", ["CronJob apps/app-cronjob-backup", "CronJob apps/app-cronjob-restore"]),
    ],
  },
  {
    finding: "Service of type NodePort",
    why: "polls and the web app are for people; `service.type` changes it",
    checks: [
      kubeScoreWarning("service-type", {
        test: ["Service apps/app-service-nodeport-flask", "Service apps/polls"],
        prod: [],
      }),
    ],
  },
  {
    finding: "network policy without pods",
    why: "it is for drivers of Spark, which you start",
    checks: [kubeScore("networkpolicy-targets-pod", ["NetworkPolicy apps/spark-driver"])],
  },
  {
    finding: "token of a ServiceAccount",
    why: "deployd and, with several JobManagers, Flink use the Kubernetes API",
    checks: [
      checkov("CKV_K8S_38", {
        test: ["Deployment apps/deployd"],
        prod: ["Deployment apps/deployd", "Deployment apps/flink-jobmanager", "Deployment apps/flink-taskmanager"],
      }),
    ],
  },
  {
    finding: "Role that writes workloads, Services or ConfigMaps",
    why: "deployd deploys to its own namespace; Flink's JobManagers elect a leader in theirs",
    checks: [
      trivy("KSV-0048", ["Role deployed/deployd"]),
      trivy("KSV-0049", { test: ["Role deployed/deployd"], prod: ["Role deployed/deployd", "Role flink/flink"] }),
      trivy("KSV-0056", ["Role deployed/deployd"]),
    ],
  },
  {
    finding: "quota or limit range without some field",
    why: "trivy asks the quota for a sum of limits, of which CPU has none, and the limit range for a minimum",
    checks: [
      trivy("KSV-0039", {
        test: [],
        prod: ["LimitRange apps/limits", "LimitRange core/limits", "LimitRange deployed/limits"],
      }),
      trivy("KSV-0040", {
        test: [],
        prod: ["ResourceQuota apps/quota", "ResourceQuota core/quota", "ResourceQuota deployed/quota"],
      }),
    ],
  },
  {
    finding: "ConfigMap with words such as `password` or `username`",
    why: "names of settings and variables of scripts: their values come from the environment. `test/program/stacks.test.ts` proves that passwords are in Secrets alone",
    checks: [
      trivy("KSV-01010", [
        "ConfigMap apps/kafka-config",
        "ConfigMap apps/superset-config",
        "ConfigMap apps/superset-databases",
        "ConfigMap apps/trino-catalogs",
        "ConfigMap core/nessie-config",
      ]),
      trivy("KSV-0109", [
        "ConfigMap apps/airflow-config",
        "ConfigMap apps/airflow-setup-script",
        "ConfigMap apps/noetl-scripts",
        "ConfigMap apps/superset-config",
        "ConfigMap apps/superset-databases",
        "ConfigMap apps/superset-setup",
        "ConfigMap apps/trino-catalogs",
        "ConfigMap apps/trino-coordinator",
        "ConfigMap apps/trino-worker",
      ]),
    ],
  },
];
