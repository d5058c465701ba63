import { existsSync } from "node:fs";
import { mkdir, readFile, rm } from "node:fs/promises";
import { KubeConfig } from "@kubernetes/client-node";
import { pino } from "pino";
import { Fleet } from "./fleet.ts";
import { Git } from "./git.ts";
import { Kube } from "./kube.ts";
import { makeMetrics } from "./metrics.ts";
import { makeServer } from "./server.ts";
import { type Configuration, watchSettings } from "./watch.ts";

/** Paths and the port; the variables are for a run outside of a pod. */
const {
  DEPLOYD_CONFIG = "/etc/deployd/config/config.yaml",
  DEPLOYD_WEBHOOK_SECRET = "/etc/deployd/webhook/secret",
  DEPLOYD_API_TOKEN = "/etc/deployd/webhook/token",
  DEPLOYD_TOKENS = "/etc/deployd/tokens",
  DEPLOYD_WORK = "/work/checkouts",
  DEPLOYD_PORT = "8080",
} = process.env;

const log = pino({ timestamp: pino.stdTimeFunctions.isoTime, base: null });
const config = new KubeConfig();
config.loadFromDefault();

// Checkouts of a process that was killed.
await rm(DEPLOYD_WORK, { recursive: true, force: true });
await mkdir(DEPLOYD_WORK, { recursive: true });

const metrics = makeMetrics();
const fleet = new Fleet({
  cluster: new Kube(config),
  git: new Git(DEPLOYD_TOKENS),
  metrics,
  log,
  work: DEPLOYD_WORK,
});
const configuration: Configuration = { readAt: null, error: null };
const stopping = new AbortController();
const watching = watchSettings(DEPLOYD_CONFIG, {
  every: 2000,
  signal: stopping.signal,
  state: configuration,
  follow: (settings) => {
    log.info(`repositories: ${settings.map(({ name }) => name).join(", ") || "none"}`);
    fleet.follow(settings);
  },
  refuse: (message) => log.warn(`configuration refused, what held before goes on: ${message}`),
});

const secretIn = (path: string) => async () => (await readFile(path, "utf8")).trim();
const app = await makeServer({
  fleet,
  configuration,
  metrics,
  webhookSecret: secretIn(DEPLOYD_WEBHOOK_SECRET),
  apiToken: secretIn(DEPLOYD_API_TOKEN),
  log,
});
// Every address of IPv4 and IPv6; only IPv4 if the kernel has no IPv6.
await app.listen({ host: existsSync("/proc/net/if_inet6") ? "::" : "0.0.0.0", port: Number(DEPLOYD_PORT) });

for (const signal of ["SIGTERM", "SIGINT"] as const)
  process.once(signal, async () => {
    stopping.abort();
    await Promise.all([app.close(), watching, fleet.stop()]);
    process.exit(0);
  });
