import type * as pulumi from "@pulumi/pulumi";
import { djangoThreads } from "../config/connections.ts";
import { parseImage } from "../config/images.ts";
import type { Config } from "../config/schema.ts";
import type { Endpoint, SqlConnection } from "./kit/connection.ts";
import { deployment } from "./kit/deployment.ts";
import { ingress, reachedBy } from "./kit/ingress.ts";
import { runOnce } from "./kit/job.ts";
import { gunicorn } from "./kit/listen.ts";
import { Part, type Place } from "./kit/part.ts";
import { checkedPythonPassword } from "./kit/password.ts";
import { answers, connects, drain, limitedAs, patiently, scratch } from "./kit/pod.ts";
import { credentials, password, type SecretKey, TypedSecret } from "./kit/secret.ts";
import { service } from "./kit/service.ts";

const port = 8000;
/** The user that the pods run as, whatever the image says: one without rights, who may read what everyone may. */
const user = 1000;
/** Who administers the application. */
const admin = "admin";

/**
 * A Django application: a Job that brings its database to what the image expects, and then web servers, of which one
 * comes before another goes. The image holds `manage.py` in its working directory, `python` and `gunicorn`; it reads
 * its settings from the environment that stands here.
 */
export class Django extends Part {
  readonly endpoint: Endpoint;
  /** The password of the user `admin`. */
  readonly admin: TypedSecret<"password">;

  constructor(
    name: string,
    args: { place: Place; config: Config["djangoApps"][string]; database: SqlConnection<string | SecretKey> },
    opts?: pulumi.ComponentResourceOptions,
  ) {
    const { place, config, database } = args;
    super("Django", name, place, parseImage(config.image)?.tag ?? "", opts);

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
        ...[name, `${name}.${place.namespace}`, this.host(), `${this.host()}.cluster.local`],
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
            command: ["sh", "-eu", "-c", migrate],
            env: {
              ...env,
              DJANGO_SUPERUSER_USERNAME: admin,
              DJANGO_SUPERUSER_EMAIL: `${admin}@localhost`,
              DJANGO_SUPERUSER_PASSWORD: this.admin.key("password"),
              ADMINISTRATOR: administrator(this.admin.key("password")),
            },
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
        component: "web",
        checksums,
        // Enough for what gunicorn allows requests that are under way when it stops, and the time before that.
        gracePeriod: 45,
        containers: {
          web: {
            image,
            command: gunicorn(port),
            args: [
              config.application,
              "--worker-class=gthread",
              `--workers=${config.workers}`,
              `--threads=${djangoThreads}`,
              // A connection kept for another request would be closed under a client's hands when the pod stops.
              "--keep-alive=0",
              "--graceful-timeout=30",
              // By writing there a worker says that it lives, for which it should not have to wait for a disk.
              "--worker-tmp-dir=/dev/shm",
            ],
            env,
            ports: { http: port },
            resources: config.resources,
            mounts,
            startup: answers(config.healthPath, "http", { every: 2, failures: 150 }),
            readiness: answers(config.healthPath, "http"),
            // A restart mends no database, and gunicorn itself replaces a worker that hangs.
            liveness: connects("http", patiently),
            preStop: drain,
          },
        },
        volumes,
      },
      dependsOn: [migrated],
    });

    const front = service(this, {
      component: "web",
      ports: { http: port },
      type: reachedBy(this, config.service),
      workload: web,
    });
    ingress(this, config.ingress, { component: "web", front });
    this.endpoint = { namespace: place.namespace, service: name, host: this.host(), port };
    this.registerOutputs({});
  }
}

/** It may run any number of times. */
const migrate = `
python manage.py migrate --noinput
python manage.py shell --verbosity 0 --command "$ADMINISTRATOR"
`.trim();

/** Makes the administrator, or gives the one who is there the password of the Secret. */
const administrator = (password: SecretKey) =>
  `
import os
from django.apps import apps
from django.core.management import call_command
if apps.is_installed("django.contrib.auth"):
    from django.contrib.auth import get_user_model
    User = get_user_model()
    name = os.environ["DJANGO_SUPERUSER_" + User.USERNAME_FIELD.upper()]
    user = User._default_manager.filter(**{User.USERNAME_FIELD: name}).first()
    ${checkedPythonPassword("DJANGO_SUPERUSER_PASSWORD", password).replaceAll("\n", "\n    ")}
    os.environ["DJANGO_SUPERUSER_PASSWORD"] = password
    if user is None:
        call_command("createsuperuser", interactive=False)
    elif not user.check_password(password):
        user.set_password(password)
        user.save()
        print(name, "has a new password")
else:
    print("the application has no users, so there is no administrator to make")
`.trim();
