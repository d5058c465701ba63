// Proves ClickHouse's manifests: its user, its memory, and which pods a change rolls.
// Does not prove that the server starts with them: the cluster test does.
import { beforeAll, expect, it } from "vitest";
import { changed, type Evaluated, evaluated } from "./stacks.ts";

const configuration = ({ objects }: Evaluated) =>
  objects.find(({ kind, metadata }) => kind === "ConfigMap" && metadata.name === "clickhouse-config")!.data as Record<
    "config.xml" | "users.xml",
    string
  >;

let before: Evaluated;
beforeAll(async () => {
  before = await evaluated("test");
});

it("has one user, whose password is in no file, and no user `default`", () => {
  const users = configuration(before)["users.xml"].match(/<users>(.*)<\/users>/s)![1]!;
  expect(users.match(/^ {4}<\w+>$/gm)).toEqual(["    <platform>"]);
  expect(users).toContain('<password_sha256_hex from_env="PASSWORD_SHA256"/>');
});

it("serves metrics, logs to the console, and sends no crash reports", () => {
  const config = configuration(before)["config.xml"];
  expect(config).toContain("<port>9363</port>");
  expect(config).toContain("<console>1</console>");
  expect(config).toContain("<send_crash_reports><enabled>false</enabled></send_crash_reports>");
});

it("limits its memory to its container's, and rolls nothing else when that changes", async () => {
  const after = await evaluated("test", { changes: "clickhouse: { resources: { limits: { memory: 2Gi } } }" });
  expect(changed(before, after)).toEqual(["ConfigMap clickhouse-config", "StatefulSet clickhouse"]);
  const number = (file: string, name: string) => Number(new RegExp(`<${name}>(\\d+)<`).exec(file)![1]);
  const files = configuration(after);
  const server = number(files["config.xml"], "max_server_memory_usage");
  expect(server).toBe(Math.floor(2 * 1024 ** 3 * 0.8));
  expect(number(files["users.xml"], "max_memory_usage")).toBeLessThan(server);
});

it("rolls its clients when its password changes", async () => {
  const after = await evaluated("test", { changes: "clickhouse: { auth: { existingSecret: mine, rotation: 2 } }" });
  const rolled = changed(before, after);
  expect(rolled).toEqual(
    expect.arrayContaining(["Deployment trino-coordinator", "Deployment trino-worker", "StatefulSet clickhouse"]),
  );
  expect(after.objects.some(({ metadata }) => metadata.name === "clickhouse-admin")).toBe(false);
});
