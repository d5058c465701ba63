import type * as pulumi from "@pulumi/pulumi";
import { derived, either, itemsWhen, missing, overridden, when } from "../../config/derived.ts";
import type { Config } from "../../config/schema.ts";
import type { ComponentArgs } from "../kit/args.ts";
import { Component } from "../kit/component.ts";
import type { Endpoint, SqlConnection } from "../kit/connection.ts";
import { deployment } from "../kit/deployment.ts";
import type { Value } from "../kit/environment.ts";
import { expose, hostOf, type Page, reachedBy } from "../kit/ingress.ts";
import { runOnce } from "../kit/job.ts";
import { gunicorn } from "../kit/listen.ts";
import type { Connects } from "../kit/network.ts";
import { checkedPythonPassword } from "../kit/password.ts";
import {
  type Container,
  drain,
  httpProbe,
  lenientLiveness,
  limitedAs,
  scratch,
  tcpProbe,
  type Volume,
} from "../kit/pod.ts";
import { credentials, password, type SecretKey, TypedSecret } from "../kit/secret.ts";
import { endpoint, exposed, service } from "../kit/service.ts";
import { djangoThreads } from "../postgresql/connections.ts";
import { waitForDatabase, waitForMigrations } from "./wait.ts";

const port = 8000;
const migrationJob = "migrate";
/** The user that the pods run as, whatever the image says: one without privileges, which reads world-readable files only. */
const user = 1000;
/** User name of the administrator. */
const admin = "admin";

/** What a Django application needs from the platform. Its `config` is the block `polls`, or one of `djangoApps`. */
export interface DjangoArgs extends ComponentArgs<Config["djangoApps"][string]> {
  /** The application's own database. An operator's Secret may give its host and name. */
  database: SqlConnection<string | SecretKey>;
}

/** What the Job and the web servers have in common. */
interface Shared {
  image: pulumi.Input<string>;
  env: NonNullable<Container<never>["env"]>;
  envFrom: Container<never>["envFrom"];
  mounts: { "/tmp": "tmp" };
  volumes: { tmp: Volume };
  checksums: Record<string, pulumi.Input<string>>;
  connects: Connects[];
}

/**
 * A Django application: a Job that migrates its database, then web servers; on an upgrade a new pod is ready before an
 * old one stops. The image has `manage.py` in or below its working directory, and `python` and `gunicorn` on its PATH.
 * It reads its settings from the environment variables that are set here.
 */
export class Django extends Component {
  readonly endpoint: Endpoint;
  /** The password of the user `admin`. */
  readonly admin: TypedSecret<"password">;

  constructor(name: string, args: DjangoArgs, opts?: pulumi.ComponentResourceOptions) {
    const { namespace, config, database } = args;
    // Its containers get `env` below: some variables are for the Job alone.
    const { image, pods, serviceAccount } = config;
    super("Django", name, namespace, { image, pods, serviceAccount }, opts);

    this.admin = credentials(this, "admin", config.auth, () => ({
      password: password(this, "admin", config.auth.rotation),
    }));
    // Never rotated: sessions are signed with it, so a new one logs everyone out.
    const keys = TypedSecret.create(this, "secret-key", () => ({ "secret-key": password(this, "secret-key", 1) }));
    const shared = this.shared(args, keys);

    // Before any pod of the new version. If the migration fails, the pods of the old version keep running.
    const migrated = this.migration(config, shared, database.ready);
    const web = this.web(config, shared, migrated);
    const reached = exposed(this, { ...config.service, type: reachedBy(this, config.service) });
    const front = service(this, { role: "web", ports: { http: port }, ...reached, workload: web });
    expose(this, pageOf(config), front);

    this.endpoint = endpoint(this, port);
    this.registerOutputs({});
  }

  private shared({ config, database }: DjangoArgs, keys: TypedSecret<"secret-key">): Shared {
    const host = hostOf(this, pageOf(config));
    return {
      image: this.image(config.image),
      env: {
        // Kubernetes expands `$(…)`. Probes call the pod's address, a NodePort is called by the node's.
        POD_IP: { field: "status.podIP" },
        NODE_IP: { field: "status.hostIP" },
        ALLOWED_HOSTS: [
          either(
            host,
            (visited) => `${visited},${this.name}`,
            () => this.name,
          ),
          ...[`${this.name}.${this.namespace.name}`, this.host(), `${this.host()}.cluster.local`],
          ...["localhost", "$(POD_IP)", "$(NODE_IP)"],
        ].join(","),
        ...when(host, (visited) => ({ CSRF_TRUSTED_ORIGINS: `http://${visited},https://${visited}` })),
        SECRET_KEY: keys.key("secret-key"),
        DATABASE_HOST: database.host,
        DATABASE_PORT: String(database.port),
        DATABASE_NAME: database.database,
        DATABASE_USER: database.username,
        DATABASE_PASSWORD: database.password,
        HOME: "/tmp",
      },
      envFrom: config.envFrom,
      mounts: { "/tmp": "tmp" },
      volumes: { tmp: scratch({ size: "64Mi" }) },
      checksums: { key: keys.revision, database: database.revision },
      connects: [database],
    };
  }

  /** The Job that migrates the database and writes the administrator. */
  private migration(config: DjangoArgs["config"], shared: Shared, dependsOn: pulumi.Resource[]): pulumi.Resource {
    const { volumes, checksums, connects, env, ...container } = shared;
    return runOnce(
      this,
      migrationJob,
      {
        user,
        connects,
        checksums: { ...checksums, admin: this.admin.revision },
        containers: {
          migrate: {
            ...container,
            command: ["sh", "-eu", "-c", `${enter(config.directory)}${migrate}`, "migrate", waitForDatabase],
            env: overridden<Value, Given, Value>(
              {
                ...env,
                DJANGO_SUPERUSER_USERNAME: admin,
                DJANGO_SUPERUSER_EMAIL: `${admin}@localhost`,
                DJANGO_SUPERUSER_PASSWORD: this.admin.key("password"),
                ADMINISTRATOR: administrator(this.admin.key("password")),
              },
              config.env,
              asGiven,
            ),
            resources: limitedAs(config.resources, {
              requests: { cpu: "5m", memory: "96Mi" },
              limits: { memory: "256Mi" },
            }),
          },
        },
        volumes,
      },
      // A failed migration usually fails again, and someone is waiting for the result.
      { dependsOn, retries: 2 },
    );
  }

  private web(config: DjangoArgs["config"], shared: Shared, migrated: pulumi.Resource) {
    const { volumes, checksums, connects, env, ...container } = shared;
    // The variables that create the administrator are for the Job only.
    const own = overridden<Value, Given, Value>(env, config.env, asGiven, "DJANGO_SUPERUSER_");
    const wait = waitForMigrations(this.named(migrationJob));
    return deployment(this, {
      replicas: config.replicas,
      upgrade: "surge",
      waitsForJob: true,
      pod: {
        user,
        role: "web",
        connects,
        checksums,
        // gunicorn's graceful timeout of 30 seconds, and the seconds of `drain` before it.
        gracePeriod: 45,
        init: {
          "wait-for-migrations": {
            ...container,
            command: ["sh", "-eu", "-c", `${enter(config.directory)}exec ${inShell}`, "wait", wait],
            env: own,
            // It loads what the web server loads.
            resources: config.resources,
          },
        },
        containers: {
          web: {
            ...container,
            command: serve(config),
            args: options(config),
            env: own,
            ports: { http: port },
            resources: config.resources,
            startup: httpProbe(config.healthPath, "http", { every: 2, failures: 150 }),
            readiness: httpProbe(config.healthPath, "http"),
            // TCP only: a restart does not repair a database, and gunicorn itself replaces a worker that hangs.
            liveness: tcpProbe("http", lenientLiveness),
            preStop: drain,
          },
        },
        volumes,
      },
      dependsOn: [migrated],
    });
  }
}

/** Its pages. Who may see them is the application's business. */
const pageOf = ({ ingress }: DjangoArgs["config"]): Page => ({ role: "web", own: ingress });

/** Shell: changes to the directory of manage.py. A Dockerfile may have copied the configured directory, its contents, or a subdirectory. */
const enter = (directory: string | undefined): string =>
  either(
    directory,
    (found) => `for folder in . ${endsOf(found)}; do test ! -f "$folder/manage.py" || { cd "$folder"; break; }; done\n`,
    () => "",
  );

/** The ends of a path, the shortest first. */
const endsOf = derived("endsOf", (path: string): string => {
  const parts = path.split("/");
  return parts.map((_, i) => parts.slice(parts.length - 1 - i).join("/")).join(" ");
});

/** Shell: the module of uvicorn's worker for gunicorn. It is a separate package now; older uvicorn contains it. */
const uvicornWorker = `worker=$(python -c "
from importlib.util import find_spec
print('uvicorn_worker' if find_spec('uvicorn_worker') else 'uvicorn.workers')")`;

/** The command of the web server. Its arguments are `options`. */
const serve = ({ directory, interface: offered }: DjangoArgs["config"]): string[] =>
  gunicorn(
    port,
    enter(directory) +
      either(
        isAsgi(offered),
        () => `${uvicornWorker}\nset -- "$@" "--worker-class=$worker.UvicornWorker"\n`,
        () => "",
      ),
  );

const isAsgi = derived("isAsgi", (offered: string): boolean => offered === "asgi");

/** gunicorn's arguments: the application and its options. */
const options = ({ application, workers, interface: offered }: DjangoArgs["config"]): string[] => [
  application,
  ...itemsWhen(missing(isAsgi(offered)), () => ["--worker-class=gthread"]),
  `--workers=${workers}`,
  ...itemsWhen(missing(isAsgi(offered)), () => [`--threads=${djangoThreads}`]),
  // A kept-alive connection would be reset while a client sends on it, when the pod stops.
  "--keep-alive=0",
  "--graceful-timeout=30",
  // Workers write their heartbeats there: in memory, since a write to a disk may block.
  "--worker-tmp-dir=/dev/shm",
];

/** A variable of the stack's `env`. They come after the platform's, so that `$(…)` in them can refer to those. */
type Given = DjangoArgs["config"]["env"][string];
const asGiven = (given: Given): Value => ({ given });

/** Shell: runs the Python of the first argument with the application's settings. */
const inShell = 'python manage.py shell --verbosity 0 --command "$1"';

/** Idempotent. */
const migrate = `
${inShell}
python manage.py migrate --noinput
python manage.py shell --verbosity 0 --command "$ADMINISTRATOR"
`.trim();

/**
 * Creates the administrator, or sets the password of the existing one to the Secret's. If the user model requires a field
 * that is not given, it prints a warning and creates none: the application is deployed all the same.
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
