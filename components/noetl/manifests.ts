import { either } from "../../config/derived.ts";
import type { Config } from "../../config/schema.ts";
import { packageName } from "./versions.ts";

/*
 * Commands and scripts of NoETL's pods. Pure functions.
 */

type Instance = Config["noetl"]["instances"][string];

/** Directory of everything that a pod of NoETL has. */
export const home = "/opt/noetl";
export const python = `${home}/venv/bin/python`;
/** Mount path of the checkout or of the packages. */
export const source = "/source";

/** Shell: installs NoETL into a virtual environment, which sees the image's packages and adds what they lack. */
export function install({ type }: Instance, version: string, index: string | undefined): string {
  const pip = `${python} -m pip install --quiet --no-build-isolation`;
  const steps = {
    // Without an index the image has all dependencies of this version, and pip's check of them is slow.
    version: `${pip} ${either(
      index,
      () => "",
      () => "--no-deps ",
    )}noetl==${version}`,
    // The image may have the same version, which pip would take for the package.
    package: `package=$(${python} /etc/noetl/newest.py ${source})\n${pip} --no-deps --ignore-installed "$package"\n${pip} noetl`,
    // `compat` makes it a path before the image's packages; setuptools' default would come after them.
    dev: `${pip} --no-deps --editable ${source} --config-settings editable_mode=compat\n${pip} noetl`,
  };
  return `python -m venv --clear --without-pip --system-site-packages ${home}/venv\n${steps[type]}`;
}

/** Prints the file of the highest version by PEP 440; of one version, the highest build tag, then the newest file. */
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

/** Applies the schema of the installed package, and records that it has. Idempotent. */
export const applySchema = `
from importlib.util import find_spec
from pathlib import Path

import psycopg
import set_up

package = Path(find_spec("noetl").submodule_search_locations[0])
ddl = (package / "database" / "ddl" / "postgres" / "schema_ddl.sql").read_text()
set_up.wait_for_database()
with psycopg.connect() as connection:
    # Some of its statements and some of the server's name no schema.
    connection.execute("ALTER ROLE CURRENT_USER SET search_path = noetl, public")
    connection.execute("SET search_path = noetl, public")
    connection.execute("CREATE SCHEMA IF NOT EXISTS noetl")
    connection.execute(ddl)
print(f"applied {len(ddl)} characters of DDL from {package}")
set_up.record()
`.trim();

/**
 * Succeeds while the pod has a TCP connection to a port of another: to the queue, which a worker keeps open, or in
 * versions without a queue to the server, which a worker polls.
 */
export const isConnected = (to: { queue: number } | { server: number }): string[] => {
  const [port, states] = "queue" in to ? [to.queue, "01"] : [to.server, "0[16]"];
  const hexadecimal = port.toString(16).toUpperCase().padStart(4, "0");
  // tcp6 does not exist without IPv6: hence -s.
  return ["grep", "-qs", `:${hexadecimal} ${states} `, "/proc/net/tcp", "/proc/net/tcp6"];
};

/** Starts Python with `args`. NoETL looks for `data` and `logs` in its working directory. */
export function startCommand({ type }: Instance, args: string[]): string[] {
  const noetl = [python, ...args];
  return [
    "sh",
    "-c",
    `cd ${home} && exec "$@"`,
    "noetl",
    ...(type === "dev" ? [...watch, noetl.join(" "), source] : noetl),
  ];
}

/**
 * Restarts a command when a Python file changes. NoETL's server finishes its work within a second of SIGINT and then
 * hangs, so it is killed.
 */
const watch = [
  ...[python, "-m", "watchfiles"],
  ...["--filter", "python"],
  ...["--sigint-timeout", "1"],
  ...["--sigkill-timeout", "30"],
];
