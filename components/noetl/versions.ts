import { compare, prerelease, valid } from "semver";

/*
 * How each released version of NoETL is started. Pure: the schema, the component and the command line use it.
 */

/** Every release that may have a server, from the package index: `2.3.0-3` are four releases. */
const released = `
0.1.0-38 1.0.0,3-4 1.2.1-5 1.4.0 1.7.1 1.8.0
2.0.0-3 2.1.0-4 2.2.0-1 2.3.0-3 2.4.0 2.5.0-2,5 2.7.2-5 2.8.0-9 2.9.0 2.10.0-42 2.11.0 2.12.0-8 2.13.0-1 2.14.0-14
2.15.0-2 2.16.0-7 2.24.2 2.25.0-1 2.26.0-2 2.27.0-1 2.28.0 2.29.0 2.30.0 2.31.0 2.32.0 2.33.0 2.34.0 2.35.0-9
2.36.0-1 2.37.0-8 2.38.0-1 2.39.0-3 2.40.0 2.41.0 2.42.0 2.43.0 2.44.0 2.45.0 2.46.0 2.47.0 2.48.0 2.49.0 2.50.0
2.51.0 2.52.0 2.53.0 2.54.0 2.55.0 2.56.0 2.57.0 2.58.0 2.59.0 2.60.0 2.61.0 2.62.0 2.63.0 2.64.0 2.65.0 2.66.0
2.67.0 2.68.0 2.69.0 2.70.0 2.71.0 2.72.0 2.73.0 2.74.0 2.75.0 2.76.0 2.77.0 2.78.0 2.79.0 2.80.0 2.81.0 2.82.0
2.83.0 2.84.0 2.85.0-2 2.86.0 2.87.0 2.88.0-1 2.89.0 2.90.0 2.91.0 2.92.0 2.93.0 2.94.0 2.95.0 2.96.0 2.97.0 2.98.0
2.99.0 2.100.0-10 2.101.0-3 2.102.0-13 2.103.0-4
3.0.0
4.0.0-1 4.1.0 4.2.0 4.3.0 4.4.0 4.5.0-3 4.6.0 4.7.0 4.8.0 4.9.0 4.10.0-1 4.11.0 4.12.0-1 4.13.0 4.14.0 4.15.0 4.16.0
4.17.0 4.18.0 4.19.0 4.20.0 4.21.0 4.22.0 4.23.0 4.24.0 4.25.0 4.26.0
`;

const releases = released
  .trim()
  .split(/\s+/)
  .flatMap((word) => {
    const [major, minor, patches = ""] = word.split(".");
    return patches.split(",").flatMap((range) => {
      const [first = 0, last = first] = range.split("-").map(Number);
      return Array.from({ length: last - first + 1 }, (_, i) => `${major}.${minor}.${first + i}`);
    });
  });

/** The newest version with a server: what `latest` means here. pip's newest has none. */
export const latest = "4.26.0";

/**
 * The file name of a wheel (version, build tag) or source distribution (version) of NoETL, as a regular expression of
 * JavaScript and of Python, for the whole name in any case. The versions are those of PEP 440.
 */
export const packageName = String.raw`noetl-(?:([^-]+)(?:-(\d[^-]*))?(?:-[^-]+){3}\.whl|(.+)\.tar\.gz)`;

/** Port of every version's server. */
export const port = 8082;

export interface StartPlan {
  version: string;
  /** The newest release up to the version. Its dependencies are the version's, or close to them. */
  release: string;
  /** Arguments of Python that start the server. */
  server: string[];
  /** Arguments of Python that start a worker. Before 1.0 the server runs the playbooks itself. */
  worker?: string[];
  /** Path that answers 200 when the server is ready. */
  health: string;
  needs: { postgresql: true; nats: boolean };
  /** What creates the tables: a Job from the package's DDL, or the server at its start. */
  schema: "ddl" | "server";
  /** Whether it, or a neighbouring version, logs its whole environment: then no variable may hold a password. */
  logsEnvironment: boolean;
  /** The server's variables that do not depend on the stack. */
  environment: Record<string, string>;
  /** The same of a worker. */
  workerEnvironment: Record<string, string>;
}

/** Required since 1.0. An empty value counts as missing. */
const settings = {
  NOETL_RUN_MODE: "server",
  NOETL_HOST: "0.0.0.0",
  NOETL_PORT: String(port),
  NOETL_ENABLE_UI: "false",
  NOETL_DEBUG: "false",
  NOETL_SERVER: "uvicorn",
  NOETL_SERVER_WORKERS: "1",
  // Removed in 2.5. In dev mode watchfiles restarts the server.
  NOETL_SERVER_RELOAD: "false",
  NOETL_AUTO_RECREATE_RUNTIME: "true",
  NOETL_HEARTBEAT_RETRY_AFTER: "3",
  NOETL_RUNTIME_SWEEP_INTERVAL: "15",
  NOETL_RUNTIME_OFFLINE_SECONDS: "60",
  NOETL_DISABLE_METRICS: "true",
  NOETL_SERVER_METRICS_INTERVAL: "60",
};

// Without a host uvicorn listens on every address, IPv4 and IPv6; by "::" it would be IPv6 alone.
const listen = ["--host=", "--port", String(port)];
// What `noetl server start` starts in the background before it exits: a container would exit with it.
const uvicorn = ["-m", "uvicorn", "noetl.server:create_app", "--factory", ...listen, "--no-access-log"];
const startWorker = ["-m", "noetl.main", "worker", "start"];

const before25 = { ...settings, NOETL_DROP_SCHEMA: "false", NOETL_SCHEMA_VALIDATE: "false" };

/** Required by workers before 2.5, which never use them: they reach the database by the server. */
const unused = {
  NOETL_SERVER_NAME: "none",
  NOETL_SCHEMA: "noetl",
  NOETL_USER: "none",
  NOETL_PASSWORD: "none",
  POSTGRES_HOST: "none",
  POSTGRES_PORT: "5432",
  POSTGRES_DB: "none",
  POSTGRES_USER: "none",
  POSTGRES_PASSWORD: "none",
};

/** The oldest version whose start is known. */
const oldest = "0.1.24";

/** How a server is started, from a version on. The last row that a version reaches applies. */
const table: [from: string, plan: Omit<StartPlan, "version" | "release" | "needs"> & { nats: boolean }][] = [
  [
    oldest,
    {
      server: ["-m", "noetl.main", "server", ...listen],
      health: "/health",
      nats: false,
      schema: "server",
      logsEnvironment: true,
      environment: {},
      workerEnvironment: {},
    },
  ],
  [
    "0.1.37",
    {
      server: ["-m", "noetl.main", "server", "start", ...listen],
      health: "/api/health",
      nats: false,
      schema: "server",
      logsEnvironment: true,
      environment: {},
      workerEnvironment: {},
    },
  ],
  [
    "1.0.0",
    {
      server: uvicorn,
      worker: startWorker,
      health: "/api/health",
      nats: false,
      schema: "ddl",
      logsEnvironment: false,
      environment: before25,
      workerEnvironment: { ...before25, ...unused },
    },
  ],
  [
    "2.0.0",
    {
      server: uvicorn,
      worker: [...startWorker, "--v2"],
      health: "/api/health",
      nats: true,
      schema: "ddl",
      logsEnvironment: false,
      environment: before25,
      workerEnvironment: { ...before25, ...unused },
    },
  ],
  [
    "2.5.0",
    {
      server: ["-m", "noetl.server", ...listen],
      worker: ["-m", "noetl.worker"],
      health: "/api/health",
      nats: true,
      schema: "ddl",
      logsEnvironment: false,
      environment: settings,
      workerEnvironment: {},
    },
  ],
];

/** How to start a version, or the reason why that is impossible. `unreleased`: the version need not be a release. */
export function startPlan(asked: string, { unreleased = false } = {}): StartPlan | { refused: string } {
  const version = asked === "latest" ? latest : asked;
  if (valid(version) !== version || prerelease(version))
    return { refused: `expected a version such as ${latest}, or latest` };
  if (compare(version, "5.0.0") >= 0)
    return {
      refused: `expected at most ${latest}, the newest version with a server: from 5.0.0 on the package is a command-line tool without one`,
    };
  if (!unreleased && !releases.includes(version))
    return { refused: `expected a version that was released: there is no NoETL ${version}` };
  const row = table.filter(([from]) => compare(version, from) >= 0).at(-1);
  const release = releases.filter((one) => compare(one, version) <= 0).at(-1);
  if (!row || !release)
    return { refused: `expected ${oldest} or newer: what came before is started in ways that are not known here` };
  const [, { nats, ...plan }] = row;
  return { version, release, ...plan, needs: { postgresql: true, nats } };
}
