// Proves of the scripts that wait for a set-up Job and record its end, by running them with a driver and a Django that are
// played: what they wait for and print, that another version waits on, and that SIGTERM ends them.
// Does not prove that real drivers and a real Django behave so: the cluster tests do.
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { execa } from "execa";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { waitForDatabase, waitForMigrations } from "../../components/django/wait.ts";
import { waitForTopicsScript } from "../../components/kafka/manifests.ts";
import { setUpScript } from "../../components/kit/set-up.ts";

// Each starts Python, which takes long on a busy machine.
vi.setConfig({ testTimeout: 60_000 });

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "set-up-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const write = (files: Record<string, string>) => {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
};

/** A driver that fails to connect, as the list says, then has a table of versions in a file. No wait takes time. */
const driver = (failures: string[], patient = false) => `
import time
from pathlib import Path

failures = ${JSON.stringify(failures)}
${patient ? "" : "time.sleep = lambda seconds: None"}
store = Path(__file__).with_name("versions")


class OperationalError(Exception):
    pass


class Connection:
    description = None

    def cursor(self):
        return self

    def execute(self, text, values=()):
        self.description, self.row = ["one"], (1,)
        if text.startswith("SELECT to_regclass"):
            self.row = (store.exists(),)
        elif text.startswith("SELECT count"):
            self.row = (int(values[0] in store.read_text().split()),)
        elif text.startswith("CREATE TABLE IF NOT EXISTS"):
            self.description = None
            store.touch()
        elif text.startswith("INSERT"):
            self.description = None
            store.write_text(f"{store.read_text()} {values[0]}")

    def fetchone(self):
        return self.row

    def commit(self):
        pass

    def close(self):
        pass


def connect(**login):
    assert login == {
        "host": "db", "port": "5432", "dbname": "shop", "user": "shop", "password": "secret", "connect_timeout": 10
    }, login
    if failures:
        raise OperationalError(failures.pop(0) + "\\n")
    return Connection()
`;

const run = (action: string, version = "shop:2") =>
  execa("python3", [join(folder, "set_up.py"), action], {
    env: {
      SET_UP_HOST: "db",
      SET_UP_PORT: "5432",
      SET_UP_DATABASE: "shop",
      SET_UP_USER: "shop",
      SET_UP_PASSWORD: "secret",
      SET_UP_JOB: "shop-setup",
      SET_UP_VERSION: version,
    },
  });

it("a pod waits for its own version's record, and says for what it waits, once", async () => {
  write({ ...setUpScript, "psycopg2.py": driver(["no role", "no role", "no database"], true), versions: "shop:1" });
  const waiting = run("wait");
  const lines: string[] = [];
  for await (const line of waiting) {
    lines.push(line);
    if (line.includes("Job")) writeFileSync(join(folder, "versions"), "shop:1 shop:2");
  }
  expect(lines).toEqual([
    "waiting for the database shop of db: no role",
    "waiting for the database shop of db: no database",
    "waiting for the Job shop-setup: it has not set up the database shop for shop:2 yet",
    "the database shop is set up for shop:2",
  ]);
});

it("a pod of an older version does not wait for a newer one", async () => {
  write({ ...setUpScript, "psycopg2.py": driver([]), versions: "shop:1 shop:2" });
  expect((await run("wait", "shop:1")).stdout).toBe("the database shop is set up for shop:1");
});

it("a record is written once the table is there, and may be written again", async () => {
  write({ ...setUpScript, "psycopg2.py": driver([]) });
  const recorded = "recorded that the database shop is set up for shop:2";
  expect([(await run("record")).stdout, (await run("record")).stdout]).toEqual([recorded, recorded]);
  expect(readFileSync(join(folder, "versions"), "utf8")).toContain("shop:2");
  expect((await run("wait")).stdout).toBe("the database shop is set up for shop:2");
});

it("a Job waits for its database, with either driver", async () => {
  write({ ...setUpScript, "psycopg2.py": "raise ImportError", "psycopg.py": driver(["refused"]) });
  expect((await run("database")).stdout).toBe("waiting for the database shop of db: refused");
});

it("SIGTERM ends a wait", async () => {
  write({
    ...setUpScript,
    "psycopg2.py": driver(
      Array.from({ length: 1000 }, () => "refused"),
      true,
    ),
  });
  const waiting = run("wait");
  await new Promise((resolve) => waiting.stdout.once("data", resolve));
  waiting.kill("SIGTERM");
  await expect(waiting).rejects.toMatchObject({ exitCode: 1 });
});

/** Django with a database that is away twice, and a migration that is applied after two looks. */
const django = {
  "django/__init__.py": "import time\n\ntime.sleep = lambda seconds: None\n",
  "django/db/__init__.py": `
class OperationalError(Exception):
    pass


class InterfaceError(Exception):
    pass


class Connection:
    failures = ["refused\\n", "refused\\n"]

    def ensure_connection(self):
        if self.failures:
            raise OperationalError(self.failures.pop())

    def close(self):
        pass


connection = Connection()
`,
  "django/db/migrations/__init__.py": "",
  "django/db/migrations/executor.py": `
class MigrationExecutor:
    plans = [["shop.0001", "shop.0002"], ["shop.0001", "shop.0002"], ["shop.0002"], []]

    def __init__(self, connection):
        connection.ensure_connection()
        self.loader = self.graph = self

    def leaf_nodes(self):
        return "leaves"

    def migration_plan(self, targets):
        assert targets == "leaves"
        return [(name, False) for name in self.plans.pop(0)]
`,
};

it("a Django application waits for each of its migrations, and its Job for the database", async () => {
  write(django);
  const python = async (code: string) => (await execa("python3", ["-c", code], { cwd: folder })).stdout.split("\n");
  expect(await python(waitForDatabase)).toEqual(["waiting for the database: refused"]);
  expect(await python(waitForMigrations("shop-migrate"))).toEqual([
    "waiting for the database: refused",
    "waiting for the Job shop-migrate, which has to apply shop.0001 and 1 more",
    "waiting for the Job shop-migrate, which has to apply shop.0002",
    "the database has every migration of this version",
  ]);
});

it("a client of Kafka waits for the broker, then for each topic", async () => {
  write({
    "kafka-topics.sh": `#!/bin/sh
cd ${folder}
echo >> calls
[ "$(wc -l < calls)" -gt 1 ] || exit 1
echo journal
echo events-of-others
[ "$(wc -l < calls)" -le 2 ] || echo events
`,
    sleep: "#!/bin/sh\n",
  });
  for (const name of ["kafka-topics.sh", "sleep"]) chmodSync(join(folder, name), 0o755);
  const script = waitForTopicsScript(false).replaceAll("/opt/kafka/bin", folder);
  const { stdout } = await execa("sh", ["-eu", "-c", script], {
    env: {
      PATH: `${folder}:${process.env.PATH}`,
      SERVERS: "kafka:9092",
      TOPICS: "journal events",
      JOB: "kafka-topics",
    },
  });
  expect(stdout.split("\n")).toEqual([
    "waiting for Kafka and its Job kafka-topics: kafka:9092",
    "waiting for Kafka and its Job kafka-topics: events",
  ]);
});
