import * as pulumi from "@pulumi/pulumi";
import { parseImage } from "../../config/images.ts";
import type { Config } from "../../config/schema.ts";
import { Component, type NamespaceContext } from "../kit/component.ts";
import type { Endpoint, SqlConnection } from "../kit/connection.ts";
import { deployment } from "../kit/deployment.ts";
import { ingress, reachedBy } from "../kit/ingress.ts";
import { runOnce } from "../kit/job.ts";
import { gunicorn } from "../kit/listen.ts";
import { checkedPythonPassword } from "../kit/password.ts";
import { type ConfigMapKey, drain, httpProbe, lenientLiveness, limitedAs, scratch, tcpProbe } from "../kit/pod.ts";
import { credentials, password, type SecretKey, TypedSecret } from "../kit/secret.ts";
import { service } from "../kit/service.ts";
import { djangoThreads } from "../postgresql/connections.ts";

const port = 8000;
/** The user that the pods run as, whatever the image says: one without rights, who may read what everyone may. */
const user = 1000;
/** Who administers the application. */
const admin = "admin";

/**
 * A Django application: a Job that brings its database to what the image expects, and then web servers, of which one
 * comes before another goes. The image holds `manage.py` in or below its working directory, `python` and `gunicorn`; it
 * reads its settings from the environment that is set here.
 */
export class Django extends Component {
  readonly endpoint: Endpoint;
  /** The password of the user `admin`. */
  readonly admin: TypedSecret<"password">;

  constructor(
    name: string,
    args: {
      namespace: NamespaceContext;
      config: Config["djangoApps"][string];
      database: SqlConnection<string | SecretKey>;
    },
    opts?: pulumi.ComponentResourceOptions,
  ) {
    const { namespace, config, database } = args;
    super("Django", name, namespace, parseImage(config.image)?.tag ?? "", opts);

    this.admin = credentials(this, "admin", config.auth, () => ({
      password: password(this, "admin", config.auth.rotation),
    }));
    // Never made anew: whoever is logged in is known by it.
    const keys = TypedSecret.create(this, "secret-key", { "secret-key": password(this, "secret-key", 1) });

    /** What the pods have in common. */
    const image = this.image(config.image);
    const { host } = config.ingress;
    const env = {
      // Kubernetes fills in what stands in brackets; probes ask by the pod's address, a NodePort is asked by the node's.
      POD_IP: { field: "status.podIP" },
      NODE_IP: { field: "status.hostIP" },
      ALLOWED_HOSTS: [
        ...(host ? [host] : []),
        ...[name, `${name}.${namespace.name}`, this.host(), `${this.host()}.cluster.local`],
        ...["localhost", "$(POD_IP)", "$(NODE_IP)"],
      ].join(","),
      ...(host && { CSRF_TRUSTED_ORIGINS: `http://${host},https://${host}` }),
      SECRET_KEY: keys.key("secret-key"),
      DATABASE_HOST: database.host,
      DATABASE_PORT: String(database.port),
      DATABASE_NAME: database.database,
      DATABASE_USER: database.username,
      DATABASE_PASSWORD: database.password,
      HOME: "/tmp",
    };
    /** After the platform's own, which their values may name. */
    const further = furtherEnv(config.env);
    const { envFrom } = config;
    const mounts = { "/tmp": "tmp" } as const;
    const volumes = { tmp: scratch({ size: "64Mi" }) };
    const checksums = { key: keys.revision, database: database.revision };

    // Before any pod of the new version: where it fails, those of the old one go on.
    const migrated = runOnce(
      this,
      "migrate",
      {
        user,
        checksums: { ...checksums, admin: this.admin.revision },
        containers: {
          migrate: {
            image,
            command: ["sh", "-eu", "-c", [...enter(config.directory), migrate].join("\n")],
            env: {
              ...env,
              DJANGO_SUPERUSER_USERNAME: admin,
              DJANGO_SUPERUSER_EMAIL: `${admin}@localhost`,
              DJANGO_SUPERUSER_PASSWORD: this.admin.key("password"),
              ADMINISTRATOR: administrator(this.admin.key("password")),
              ...further,
            },
            envFrom,
            resources: limitedAs(config.resources, {
              requests: { cpu: "5m", memory: "96Mi" },
              limits: { memory: "256Mi" },
            }),
            mounts,
          },
        },
        volumes,
      },
      // A migration that fails will fail again, and someone waits to be told.
      { dependsOn: database.ready, retries: 2 },
    );

    const web = deployment(this, {
      replicas: config.replicas,
      upgrade: "surge",
      pod: {
        user,
        role: "web",
        checksums,
        // Enough for what gunicorn allows requests that are under way when it stops, and the time before that.
        gracePeriod: 45,
        containers: {
          web: {
            image,
            command: starts(config),
            args: [
              config.application,
              ...(config.interface === "wsgi" ? ["--worker-class=gthread"] : []),
              `--workers=${config.workers}`,
              ...(config.interface === "wsgi" ? [`--threads=${djangoThreads}`] : []),
              // A connection kept for another request would be closed under a client's hands when the pod stops.
              "--keep-alive=0",
              "--graceful-timeout=30",
              // By writing there a worker says that it lives, for which it should not have to wait for a disk.
              "--worker-tmp-dir=/dev/shm",
            ],
            env: { ...env, ...withoutSuperuser(further) },
            envFrom,
            ports: { http: port },
            resources: config.resources,
            mounts,
            startup: httpProbe(config.healthPath, "http", { every: 2, failures: 150 }),
            readiness: httpProbe(config.healthPath, "http"),
            // A restart mends no database, and gunicorn itself replaces a worker that hangs.
            liveness: tcpProbe("http", lenientLiveness),
            preStop: drain,
          },
        },
        volumes,
      },
      dependsOn: [migrated],
    });

    const front = service(this, {
      role: "web",
      ports: { http: port },
      type: reachedBy(this, config.service),
      workload: web,
    });
    ingress(this, config.ingress, { role: "web", front });
    this.endpoint = { namespace: namespace.name, service: name, host: this.host(), port };
    this.registerOutputs({});
  }
}

/** Goes to where manage.py is. A Dockerfile may have copied the directory as it is, or what is in it, or in a part of it. */
function enter(directory: string | undefined): string[] {
  if (directory === undefined) return [];
  const parts = directory.split("/");
  const folders = [".", ...parts.map((_, i) => parts.slice(parts.length - 1 - i).join("/"))];
  return [`for folder in ${folders.join(" ")}; do test ! -f "$folder/manage.py" || { cd "$folder"; break; }; done`];
}

/** uvicorn's worker is a package of its own, and in versions before that one a part of uvicorn. */
const uvicornWorker = `worker=$(python -c "
from importlib.util import find_spec
print('uvicorn_worker' if find_spec('uvicorn_worker') else 'uvicorn.workers')")`;

/** The command that serves an application: what gunicorn is to serve, and its options, are arguments. */
const starts = ({ directory, interface: offered }: Config["djangoApps"][string]): string[] =>
  gunicorn(port, [
    ...enter(directory),
    ...(offered === "asgi" ? [uvicornWorker, 'set -- "$@" "--worker-class=$worker.UvicornWorker"'] : []),
  ]);

type Further = Record<string, string | SecretKey | ConfigMapKey>;

/** The variables that a stack gives, as containers take them. */
const furtherEnv = (env: Config["djangoApps"][string]["env"]): Further =>
  Object.fromEntries(
    Object.entries(env).map(([name, value]) => {
      if (typeof value === "string") return [name, value];
      if ("secretKeyRef" in value)
        return [name, { secret: pulumi.output(value.secretKeyRef.name), key: value.secretKeyRef.key }];
      return [name, { configMap: value.configMapKeyRef.name, key: value.configMapKeyRef.key }];
    }),
  );

/** What is for making the administrator is in the Job alone. */
const withoutSuperuser = (env: Further): Further =>
  Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith("DJANGO_SUPERUSER_")));

/** It may run any number of times. */
const migrate = `
python manage.py migrate --noinput
python manage.py shell --verbosity 0 --command "$ADMINISTRATOR"
`.trim();

/**
 * Makes the administrator, or gives the existing one the password of the Secret. A user model that wants more than is
 * given has no administrator and a warning: the application is deployed all the same.
 */
const administrator = (password: SecretKey) =>
  `
import os
from django.apps import apps
from django.core.management import call_command
from django.db import InterfaceError, OperationalError

def warn(reason):
    print("WARNING: there is no administrator:", reason)

def administrate():
    from django.contrib.auth import get_user_model
    User = get_user_model()
    variables = ["DJANGO_SUPERUSER_" + field.upper() for field in (User.USERNAME_FIELD, *User.REQUIRED_FIELDS)]
    missing = [variable for variable in variables if not os.environ.get(variable)]
    if missing:
        return warn("the user model requires " + ", ".join(missing) + "; set them in env, then deploy again")
    name = os.environ[variables[0]]
    user = User._default_manager.filter(**{User.USERNAME_FIELD: name}).first()
    ${checkedPythonPassword("DJANGO_SUPERUSER_PASSWORD", password).replaceAll("\n", "\n    ")}
    os.environ["DJANGO_SUPERUSER_PASSWORD"] = password
    if user is None:
        call_command("createsuperuser", interactive=False)
    elif not user.check_password(password):
        user.set_password(password)
        user.save()
        print(name, "has a new password")

if apps.is_installed("django.contrib.auth"):
    try:
        administrate()
    except (InterfaceError, OperationalError):
        raise
    except Exception as problem:
        warn(f"{type(problem).__name__}: {problem}")
else:
    print("the application has no users, so there is no administrator to make")
`.trim();
