/*
 * Python that Django's shell runs in a container of the application, with the application's own settings and driver. Only
 * Pulumi creates the Job after its database, and the web servers after the Job; Helm, Argo CD and kubectl create all at once.
 */

/** Returns when the function `ready` returns nothing to wait for; prints what it waits for. */
const until = `
import signal
import sys
import time

from django.db import InterfaceError, OperationalError, connection

# The first process of a container ignores SIGTERM unless it handles it.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))

said = ""
while True:
    try:
        waiting = ready(connection)
    except (InterfaceError, OperationalError) as problem:
        waiting = f"waiting for the database: {str(problem).strip()}"
    connection.close()
    if not waiting:
        break
    if waiting != said:
        print(waiting, flush=True)
    said = waiting
    time.sleep(2)
`.trim();

/** Waits until the database accepts connections. */
export const waitForDatabase = `
def ready(connection):
    connection.ensure_connection()

${until}
`.trim();

/**
 * Waits until \`job\` has applied each migration of this version of the application. Those that only a newer version knows
 * are none of its own, so they hold up no pod.
 */
export const waitForMigrations = (job: string): string =>
  `
from django.db.migrations.executor import MigrationExecutor

def ready(connection):
    executor = MigrationExecutor(connection)
    plan = [str(migration) for migration, _ in executor.migration_plan(executor.loader.graph.leaf_nodes())]
    more = f" and {len(plan) - 1} more" if len(plan) > 1 else ""
    return plan and f"waiting for the Job ${job}, which has to apply {plan[0]}{more}"

${until}
print("the database has every migration of this version")
`.trim();
