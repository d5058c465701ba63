import { z } from "zod";
import {
  auth,
  block,
  count,
  enabled,
  image,
  imageReference,
  pattern,
  reached,
  resources,
} from "../../config/fields.ts";
import { workload } from "../../config/pods.ts";
import { database } from "../cloudnative-pg/schema.ts";
import { component, instances } from "../kit/definition.ts";
import { djangoImages } from "./images.ts";

/**
 * Variables that the platform alone sets, and the key to use instead. Others of its variables, such as ALLOWED_HOSTS, may
 * be given another value.
 */
const sets = {
  SECRET_KEY: "",
  DATABASE_HOST: "",
  DATABASE_PORT: "",
  DATABASE_NAME: "",
  DATABASE_USER: "",
  DATABASE_PASSWORD: "",
  POD_IP: "",
  NODE_IP: "",
  ADMINISTRATOR: "",
  DJANGO_SUPERUSER_USERNAME: "",
  DJANGO_SUPERUSER_PASSWORD: "auth.existingSecret",
};

/** Settings of every Django application. */
const django = {
  replicas: count("servers", 1, 16).default(1).describe("Web servers."),
  workers: count("processes", 1, 64).default(1).describe("Processes of one web server, each with several threads."),
  resources: resources({ cpu: "5m", memory: "96Mi", limit: "256Mi" }),
  ...database,
  ...workload({ priority: "web", sets }),
  ...reached("Host name that people visit. With it there is an Ingress, and the application accepts it."),
  auth: auth("the key password, the user admin's"),
};

export const polls = component({
  title: "Polls",
  summary: "Django application with polls",
  folder: "django",
  images: djangoImages,
  page: "polls.md",
  names: /^polls(-database)?$/,
  namespace: "apps",
  config: block({ enabled: enabled(), image: image("data-platform/polls:1.0.0"), ...django }).prefault({}),
  uses: ["postgresql", "cloudnativePg"],
});

/** A Python module, with the name in it that is served or without. */
export const appModule = /^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(:[A-Za-z_]\w*)?$/;

/** Applications from other repositories, as `./platform app` writes them. */
const apps = z
  .record(
    z.string(),
    block({
      image: imageReference("apps/shop:1.2.0").describe(
        "Image, with a version or a commit as its tag, or a digest. Its working directory holds `manage.py`, or see `directory`; `python` and `gunicorn` are on its PATH.",
      ),
      application: pattern(appModule, "a Python module such as mysite.wsgi")
        .default("mysite.wsgi")
        .describe("What gunicorn serves."),
      interface: z
        .enum(["wsgi", "asgi"], { error: "expected wsgi or asgi" })
        .default("wsgi")
        .describe(
          "What the module offers. `asgi` is served by gunicorn with workers of uvicorn, which the image holds.",
        ),
      directory: pattern(/^(?!.*\.\.)[\w.-]+(\/[\w.-]+)*$/, "a relative path such as src")
        .optional()
        .describe(
          "Where `manage.py` is below the image's working directory, if it is not there itself. The end of the path counts too: for backend/src it may be in src.",
        ),
      healthPath: pattern(/^\/[\w./~-]*$/, "a path such as /healthz")
        .default("/healthz")
        .describe("Path that answers 200 to 399 when the application works, its database included."),
      ...django,
    }),
    { error: "expected applications by their names" },
  )
  .superRefine((apps, context) => {
    for (const name of Object.keys(apps))
      if (!appName.test(name))
        context.addIssue({ code: "custom", path: [name], input: name, message: appNameExpected });
  })
  .default({});

export const djangoApps = instances({
  title: "Django applications",
  summary: "Your own Django applications, by name",
  folder: "django",
  names: /^django-/,
  page: "polls.md",
  namespace: "apps",
  config: apps,
  uses: ["postgresql", "cloudnativePg"],
});

/** Of a Django application: `django-<name>-migrate-<hash>` has to be a host name too. */
export const appName = /^[a-z]([a-z0-9-]{0,28}[a-z0-9])?$/;
export const appNameExpected =
  "expected a name of at most 30 lower-case letters, digits and dashes that starts with a letter and ends with a letter or digit";
