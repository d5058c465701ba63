import type * as pulumi from "@pulumi/pulumi";
import type { Component } from "./component.ts";
import type { SqlConnection } from "./connection.ts";
import type { Value } from "./environment.ts";
import { type Container, limitedAs } from "./pod.ts";

/*
 * Waiting for the Job that sets up a component's database. Only Pulumi creates pods after the Job; Helm, Argo CD and
 * kubectl create both at once. The Job records in the database for which version of the software it has finished, and an
 * init container of each pod waits for the record of the pod's own version.
 */

/** The Job that sets up a database, and how the component's containers run `set_up.py`. `V` is the union of the pods' volumes. */
export interface SetUp<V extends string> {
  /** Suffix of the Job, from `runOnce`. */
  job: string;
  /** What the Job sets the database up for, such as the image: pods with another one wait for another Job. */
  version: pulumi.Input<string>;
  database: SqlConnection;
  image: pulumi.Input<string>;
  /** A Python with a driver of PostgreSQL. */
  python: string;
  /** Where the ConfigMap with `setUpScript` is mounted. */
  folder: string;
  mounts: NonNullable<Container<V>["mounts"]>;
}

/** The variables of `set_up.py`, with a prefix of their own: a stack may give a component others, such as PGHOST. */
export const setUpVariables = (
  component: Component,
  { job, version, database }: Pick<SetUp<never>, "job" | "version" | "database">,
): Record<string, Value> => ({
  SET_UP_HOST: database.host,
  SET_UP_PORT: String(database.port),
  SET_UP_DATABASE: database.database,
  SET_UP_USER: database.username,
  SET_UP_PASSWORD: database.password,
  SET_UP_JOB: component.named(job),
  SET_UP_VERSION: version,
});

/** The init container that waits for the Job, for a pod whose container has the resources `server`. */
export const waitForSetUp = <V extends string>(
  component: Component,
  setUp: SetUp<V>,
  server: Parameters<typeof limitedAs>[0],
): Record<"wait-for-setup", Container<V>> => ({
  "wait-for-setup": {
    image: setUp.image,
    command: [setUp.python, `${setUp.folder}/set_up.py`, "wait"],
    env: setUpVariables(component, setUp),
    resources: limitedAs(server, { requests: { cpu: "5m", memory: "32Mi" }, limits: { memory: "128Mi" } }),
    mounts: setUp.mounts,
  },
});

/**
 * `set_up.py`, as a program and as a module. It reads two rows with the database's driver, because a check by the software
 * itself loads all of it, which takes seconds of CPU at each start of each pod.
 */
export const setUpScript = {
  "set_up.py": `"""For which versions of the software the Job has set up the database: recorded by the Job, awaited by the pods.

A version that has its record is never held up, also while a newer one is being set up or has failed to be.
"""
import os
import signal
import sys
import time

try:
    import psycopg2 as driver
except ImportError:
    import psycopg as driver

host, port, database, user, password, job, version = (
    os.environ[f"SET_UP_{name}"] for name in ("HOST", "PORT", "DATABASE", "USER", "PASSWORD", "JOB", "VERSION")
)


def query(text, *values):
    """The first value of the first row."""
    connection = driver.connect(host=host, port=port, dbname=database, user=user, password=password, connect_timeout=10)
    try:
        cursor = connection.cursor()
        cursor.execute(text, values)
        row = cursor.fetchone() if cursor.description else None
        connection.commit()
        return row and row[0]
    finally:
        connection.close()


def until(ready, reason):
    """Returns when \`ready\` does, and prints what it waits for."""
    said = None
    while True:
        try:
            if ready():
                return
            waiting = reason
        except driver.OperationalError as problem:
            waiting = f"waiting for the database {database} of {host}: {str(problem).strip()}"
        if waiting != said:
            print(said := waiting, flush=True)
        time.sleep(2)


def is_recorded():
    # A query of a table that does not exist would be an error in the server's log.
    exists = query("SELECT to_regclass('public.data_platform_set_up') IS NOT NULL")
    return exists and query("SELECT count(*) FROM public.data_platform_set_up WHERE version = %s", version)


def wait_for_database():
    until(lambda: query("SELECT 1"), "")


def wait():
    until(is_recorded, f"waiting for the Job {job}: it has not set up the database {database} for {version} yet")
    print(f"the database {database} is set up for {version}")


def record():
    query(
        "CREATE TABLE IF NOT EXISTS public.data_platform_set_up"
        " (version text PRIMARY KEY, finished timestamptz NOT NULL DEFAULT now())"
    )
    query("INSERT INTO public.data_platform_set_up (version) VALUES (%s) ON CONFLICT DO NOTHING", version)
    print(f"recorded that the database {database} is set up for {version}")


if __name__ == "__main__":
    # The first process of a container ignores SIGTERM unless it handles it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    {"database": wait_for_database, "wait": wait, "record": record}[sys.argv[1]]()
`,
};
