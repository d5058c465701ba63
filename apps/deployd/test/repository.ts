import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach } from "vitest";
import { Deployment } from "../src/deployment.ts";
import { Git } from "../src/git.ts";
import { makeMetrics } from "../src/metrics.ts";
import { parseSettings } from "../src/settings.ts";
import { FakeCluster } from "./fake-cluster.ts";
import { GitServer } from "./git-server.ts";

/*
 * For the tests of whole deployments: a real git server, and for each test a repository of its own and an empty cluster
 * in memory.
 */

export let git: GitServer;
export let cluster: FakeCluster;
/** The test's repository. */
export let name = "";
let work: string;
let count = 0;

beforeAll(async () => {
  git = await GitServer.start();
  work = mkdtempSync(join(tmpdir(), "deployment-test-"));
});
afterAll(() => {
  git.stop();
  rmSync(work, { recursive: true });
});
beforeEach(() => {
  cluster = new FakeCluster();
  name = `team/app-${count++}`;
});

export const tools = () => ({
  cluster,
  git: new Git(work),
  metrics: makeMetrics(),
  log: { info: () => {}, warn: () => {} },
  work,
});

/** The settings of one repository. `more` is added to its entry in the configuration. */
export const settings = (more = "", of = name) =>
  parseSettings(`repositories: [{ name: ${of}, url: "${git.url(of)}", namespace: apps ${more} }]`);

/** The deployment of the test's repository, as after a restart. */
export const make = (more = "") => new Deployment(settings(more)[0]!, tools());

/** As the fleet does when the settings have changed: a commit that failed is tried again at once. */
export const changed = (more: string) => {
  const deployment = make(more);
  deployment.trigger("look");
  return deployment;
};

/** Commits manifests by their names, and returns the commit. Null deletes one. */
export const commit = (files: Record<string, string | null>) =>
  git.commit(
    name,
    Object.fromEntries(Object.entries(files).map(([file, text]) => [`deploy/manifests/${file}.yaml`, text])),
  );
