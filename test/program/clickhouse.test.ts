// Proves ClickHouse's manifests: its user, its memory, and which pods a change rolls.
// Does not prove that the server starts with them: the cluster test does.
import { beforeAll, expect, it } from "vitest";
import { parseConfig } from "../../config/problems.ts";
import { changed, type Evaluated, evaluated, named } from "./stacks.ts";

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

it("merges the stack's elements into each of its two files, and rolls nothing else", async () => {
  const changes = `
clickhouse:
  env: { READER: { secretKeyRef: { name: reader, key: hash } } }
  settings:
    max_concurrent_queries: 50
    logger: { level: debug }
    remote_servers:
      two: { shard: [{ replica: { host: a, port: 9000 } }, { replica: { host: b, port: 9000 } }] }
  users:
    profiles: { default: { max_execution_time: 60, readonly: 0 } }
    users: { reader: { password_sha256_hex: { "@from_env": READER }, networks: { ip: "::/0" }, profile: "a<b&c" } }`;
  const after = await evaluated("test", { changes });
  const file = (name: string) => named(after, "ConfigMap", `clickhouse-${name}`).data["stack.xml"];
  expect(file("settings")).toBe(`<clickhouse>
  <max_concurrent_queries>50</max_concurrent_queries>
  <logger>
    <level>debug</level>
  </logger>
  <remote_servers>
    <two>
      <shard>
        <replica>
          <host>a</host>
          <port>9000</port>
        </replica>
      </shard>
      <shard>
        <replica>
          <host>b</host>
          <port>9000</port>
        </replica>
      </shard>
    </two>
  </remote_servers>
</clickhouse>
`);
  expect(file("users")).toContain('      <password_sha256_hex from_env="READER"></password_sha256_hex>\n');
  expect(file("users")).toContain("      <profile>a&lt;b&amp;c</profile>\n");
  expect(changed(before, after)).toEqual([
    "ConfigMap clickhouse-settings",
    "ConfigMap clickhouse-users",
    "StatefulSet clickhouse",
  ]);
  const { volumeMounts } = named(after, "StatefulSet", "clickhouse").spec.template.spec.containers[0];
  expect(volumeMounts).toContainEqual({ name: "settings", mountPath: "/etc/clickhouse-server/config.d" });
  expect(volumeMounts).toContainEqual({ name: "users", mountPath: "/etc/clickhouse-server/users.d" });
});

it("refuses every top-level element of its own that is an address, a path or a user", () => {
  const config = configuration(before);
  const names = (text: string) => [...text.matchAll(/^ {2}<(\w+)[ >]/gm)].map(([, name = ""]) => name);
  const refused = (settings: object) => {
    try {
      parseConfig("test", { clickhouse: settings });
    } catch {
      return true;
    }
    return false;
  };
  // What is left may be replaced: limits, caches, the time zone, and elements with others inside.
  expect(names(config["config.xml"]).filter((name) => !refused({ settings: { [name]: "x" } }))).toEqual([
    "logger",
    "prometheus",
    "send_crash_reports",
    "timezone",
    "max_server_memory_usage",
    "mark_cache_size",
    "uncompressed_cache_size",
    "query_log",
  ]);
  expect(refused({ users: { users: { platform: { password: "" } } } })).toBe(true);
});
