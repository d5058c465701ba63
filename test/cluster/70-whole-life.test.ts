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

/** UIDs of the pods that serve by the part they belong to. */
async function lives(): Promise<Record<string, string[]>> {
  const found: Record<string, string[]> = {};
  for (const { metadata, status } of await servers(namespaces))
    if (status?.phase === "Running" && !metadata.deletionTimestamp) {
      const part = metadata.labels!["app.kubernetes.io/name"]!;
      found[part] = [...(found[part] ?? []), metadata.uid as string];
    }
  for (const uids of Object.values(found)) uids.sort();
  return found;
}

/** Everything in every Secret. */
async function secrets(): Promise<Record<string, unknown>> {
  const all = (await Promise.all(namespaces.map((namespace) => kube().list("v1", "Secret", namespace)))).flat();
  return Object.fromEntries(
    all.map((secret) => [`${secret.metadata.namespace}/${secret.metadata.name}`, (secret as { data?: unknown }).data]),
  );
}

const up = (changes: string) => mustRun(["up", "--stack", "test", "--config-file", wholeFile(changes)]);

it("has restarted nothing by itself in all that was done with it", async () => {
  const restarts = (await podList(namespaces)).flatMap(({ metadata, status }) =>
    ((status?.containerStatuses ?? []) as { name: string; restartCount: number }[])
      .filter(({ restartCount }) => restartCount > 0)
      .map(({ name, restartCount }) => `${metadata.name}/${name}: ${restartCount}`),
  );
  expect(restarts).toEqual([]);
});

// Each of the three is an upgrade of the stack; the next one puts back what the one before changed.
describe("an upgrade that changes one part", () => {
  let keys: Record<string, unknown>;
  let git: GitServer;
  beforeAll(async () => {
    keys = await secrets();
    expect(Object.keys(keys).length).toBeGreaterThan(15);
    // Pods reach this machine by the address that the cluster's network has here.
    git = await GitServer.start(network.address);
    await git.commit("dags", { "flows/proof.py": flow, "elsewhere.py": flow.replaceAll("from_git", "elsewhere") });
  });
  afterAll(() => git?.stop());

  /** Has the stack as configured but for these changes, and says that the parts' pods are others now, and nothing else. */
  async function rolls(parts: string[], changes: string) {
    const before = await lives();
    await up(changes);
    const after = await lives();
    const rolled = Object.keys(after).filter((name) => JSON.stringify(after[name]) !== JSON.stringify(before[name]));
    expect(rolled.sort()).toEqual(parts);
    expect(await secrets()).toEqual(keys);
  }

  it("rolls the Schema Registry alone, and makes no password or key anew", () =>
    rolls(["schema-registry"], "schemaRegistry: { resources: { limits: { memory: 512Mi } } }"));

  it("rolls Airflow alone, which takes its DAGs from git from then on", { timeout: 600_000 }, async () => {
    const repository = { repository: git.url("dags"), folder: "flows" };
    await rolls(["airflow", "schema-registry"], stringify({ airflow: { dags: { git: repository } } }));

    await logIn();
    await runDag("from_git");
    await expect(ask("/api/v2/dags/elsewhere")).rejects.toThrow(/^404/);
  });

  it("rolls Nessie alone", () => rolls(["airflow", "nessie"], "nessie: { resources: { limits: { memory: 704Mi } } }"));

  it("leaves the whole stack ready", async () => {
    for (const namespace of namespaces) expect(await unready(namespace)).toEqual([]);
  });
});
