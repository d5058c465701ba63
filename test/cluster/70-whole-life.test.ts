// Proves that nothing in the test stack restarted by itself, and that three upgrades each roll one component and keep
// every password and key. Runs after every component's test.
// Does not prove upgrades from released versions.
// Exercises: every component.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { GitServer } from "../../apps/deployd/test/git-server.ts";
import { network } from "../../local/cluster/layout.ts";
import { ask, logIn, runDag } from "./airflow.ts";
import { kube, mustRun, podList, servers, unready, whole, wholeFile, wholeStack } from "./kit.ts";

const flow = `
from airflow.sdk import dag, task

@dag(dag_id="from_git", schedule=None)
def flow():
    @task
    def done():
        return "done"
    done()

flow()
`;

const namespaces = Object.values(whole);
beforeAll(wholeStack);

/** UIDs of the running pods by component. */
async function lives(): Promise<Record<string, string[]>> {
  const found: Record<string, string[]> = {};
  for (const { metadata, status } of await servers(namespaces))
    if (status?.phase === "Running" && !metadata.deletionTimestamp) {
      const component = metadata.labels!["app.kubernetes.io/name"]!;
      found[component] = [...(found[component] ?? []), metadata.uid as string];
    }
  for (const uids of Object.values(found)) uids.sort();
  return found;
}

/** The data of every Secret. */
async function secrets(): Promise<Record<string, unknown>> {
  const all = (await Promise.all(namespaces.map((namespace) => kube().list("v1", "Secret", namespace)))).flat();
  return Object.fromEntries(
    all.map((secret) => [`${secret.metadata.namespace}/${secret.metadata.name}`, (secret as { data?: unknown }).data]),
  );
}

const up = (changes: string) => mustRun(["up", "--stack", "test", "--config-file", wholeFile(changes)]);

it("has restarted no container", async () => {
  const restarts = (await podList(namespaces)).flatMap(({ metadata, status }) =>
    ((status?.containerStatuses ?? []) as { name: string; restartCount: number }[])
      .filter(({ restartCount }) => restartCount > 0)
      .map(({ name, restartCount }) => `${metadata.name}/${name}: ${restartCount}`),
  );
  expect(restarts).toEqual([]);
});

// Each of the three is an upgrade of the stack, and reverts the change of the previous one.
describe("an upgrade that changes one component", () => {
  let keys: Record<string, unknown>;
  let git: GitServer;
  beforeAll(async () => {
    keys = await secrets();
    expect(Object.keys(keys).length).toBeGreaterThan(15);
    // Pods reach this machine at its address on the cluster's network.
    git = await GitServer.start(network.address);
    await git.commit("dags", { "flows/proof.py": flow, "elsewhere.py": flow.replaceAll("from_git", "elsewhere") });
  });
  afterAll(() => git?.stop());

  /** Brings up the stack with these changes. Checks that it replaces the pods of these components and no others. */
  async function rolls(components: string[], changes: string) {
    const before = await lives();
    await up(changes);
    const after = await lives();
    const rolled = Object.keys(after).filter((name) => JSON.stringify(after[name]) !== JSON.stringify(before[name]));
    expect(rolled.sort()).toEqual(components);
    expect(await secrets()).toEqual(keys);
  }

  it("rolls only the Schema Registry, and regenerates no password or key", () =>
    rolls(["schema-registry"], "schemaRegistry: { resources: { limits: { memory: 512Mi } } }"));

  it("rolls only Airflow, which then loads its DAGs from git", { timeout: 600_000 }, async () => {
    const repository = { repository: git.url("dags"), folder: "flows" };
    await rolls(["airflow", "schema-registry"], stringify({ airflow: { dags: { git: repository } } }));

    await logIn();
    await runDag("from_git");
    await expect(ask("/api/v2/dags/elsewhere")).rejects.toThrow(/^404/);
  });

  it("rolls only Nessie", () => rolls(["airflow", "nessie"], "nessie: { resources: { limits: { memory: 704Mi } } }"));

  it("leaves the whole stack ready", async () => {
    for (const namespace of namespaces) expect(await unready(namespace)).toEqual([]);
  });
});
