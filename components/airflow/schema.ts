import { z } from "zod";
import { auth, block, count, enabled, image, objectName, resources, service } from "../../config/fields.ts";
import { component } from "../kit/definition.ts";
import { airflowImages } from "./images.ts";

/** Where the DAGs come from: the platform's example, a ConfigMap, or a git repository. */
const dags = block({
  configMap: objectName
    .optional()
    .describe(
      "Name of a ConfigMap in the component's namespace whose keys are the DAGs' files. Default: one with an example, which the platform makes.",
    ),
  git: block({
    repository: z
      .string({ error: "expected a repository's address such as https://git.example.com/team/dags.git" })
      .superRefine((address, context) => {
        const refuse = (message: string, input = address) => context.addIssue({ code: "custom", input, message });
        if (/^\w+:\/\/[^/]*@/.test(address))
          // It may be a password, so it is not shown.
          refuse(
            "expected an address without a user or password: put them into a Secret, named in dags.git.existingSecret",
            address.replace(/\/\/.*@/, "//…@"),
          );
        else if (!/^https?:\/\/[^\s/@]+\/\S+$/.test(address))
          refuse("expected a repository's address such as https://git.example.com/team/dags.git");
      })
      .describe("Address of the repository, https:// or http://."),
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
        "Name of a Secret in the component's namespace that opens the repository; it holds the keys username and password.",
      ),
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

const config = block({
  enabled: enabled(),
  image: image("apache/airflow:3.3.2"),
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
    concurrency: count("tasks", 1, 128).default(2).describe("Tasks that one worker runs at once."),
    resources: resources({ cpu: "100m", memory: "1Gi", limit: "1536Mi" }),
  }).prefault({}),
  dags,
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
