import type { Config } from "../../config/schema.ts";
import { packageName } from "./versions.ts";

/*
 * What runs in the pods of NoETL before and beside NoETL itself. Pure functions and scripts.
 */

type Instance = Config["noetl"]["instances"][string];

/** Where everything lies in a pod. */
export const home = "/opt/noetl";
export const python = `${home}/venv/bin/python`;
/** Where the checkout or the packages are mounted. */
export const source = "/source";

/** What the installing container runs: the virtual environment sees what the image holds and adds what that lacks. */
export function install({ type }: Instance, version: string, hasIndex: boolean): string {
  const pip = `${python} -m pip install --quiet --no-build-isolation`;
  const steps = {
    // Without an index the image is that version's own, and looking through all that it needs takes its time.
    version: `${pip} ${hasIndex ? "" : "--no-deps "}noetl==${version}`,
    // The image may hold the same version, which pip would take for the same thing.
    package: `package=$(${python} /etc/noetl/newest.py ${source})\n${pip} --no-deps --ignore-installed "$package"\n${pip} noetl`,
    // As a path of Python's, which comes before the image's own; another way of setuptools' comes after it.
    dev: `${pip} --no-deps --editable ${source} --config-settings editable_mode=compat\n${pip} noetl`,
  };
  return `python -m venv --clear --without-pip --system-site-packages ${home}/venv\n${steps[type]}`;
}

/** The file of the highest version by PEP 440; of one version the highest build tag, then the file that was made last. */
export const newest = `
import re
import sys
from pathlib import Path

try:
    from packaging.version import InvalidVersion, Version
except ImportError:
    from pip._vendor.packaging.version import InvalidVersion, Version


def rank(path):
    match = re.fullmatch(r"${packageName}", path.name, re.IGNORECASE)
    try:
        version = Version(match[1] or match[3]) if match else None
    except InvalidVersion:
        return None
    build = re.fullmatch(r"([0-9]+)(.*)", match[2]) if version and match[2] else None
    return version and (version, (int(build[1]), build[2]) if build else (), path.stat().st_mtime, path)


found = [one for one in map(rank, Path(sys.argv[1]).iterdir()) if one]
if not found:
    sys.exit("the directory holds no noetl-*.tar.gz and no noetl-*.whl")
print(max(found)[3])
`.trim();

/** Applies the schema that the installed package brings. It may run any number of times. */
export const applySchema = `
from importlib.util import find_spec
from pathlib import Path

import psycopg

package = Path(find_spec("noetl").submodule_search_locations[0])
ddl = (package / "database" / "ddl" / "postgres" / "schema_ddl.sql").read_text()
with psycopg.connect() as connection:
    # Some of its statements and some of the server's name no schema.
    connection.execute("ALTER ROLE CURRENT_USER SET search_path = noetl, public")
    connection.execute("SET search_path = noetl, public")
    connection.execute("CREATE SCHEMA IF NOT EXISTS noetl")
    connection.execute(ddl)
print(f"applied {len(ddl)} characters of DDL from {package}")
`.trim();

/**
 * Succeeds while the pod has a connection to a port of another: a worker's to the queue, which it holds for as long as
 * it takes commands, or before there was one to the server, which it asks again and again.
 */
export const isConnected = (to: { queue: number } | { server: number }): string[] => {
  const [port, states] = "queue" in to ? [to.queue, "01"] : [to.server, "0[16]"];
  const hexadecimal = port.toString(16).toUpperCase().padStart(4, "0");
  // Without IPv6 there is no second file.
  return ["grep", "-qs", `:${hexadecimal} ${states} `, "/proc/net/tcp", "/proc/net/tcp6"];
};
