// Proves of the Python that the platform adds to Airflow, by running it with a server and a Celery that are played: how many
// requests the API server works on at once, which do not wait, and that a worker sends no heartbeats.
// Does not prove that Airflow loads it: the cluster tests do.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, expect, it } from "vitest";
import { settings } from "../../components/airflow/manifests.ts";
import { airflowRequests } from "../../components/postgresql/connections.ts";
import { parseConfig } from "../../config/problems.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "airflow-"));
  const { airflow } = parseConfig("test", {});
  const bucket = { bucket: "airflow" } as Parameters<typeof settings>[2];
  const queue = { host: "redis", port: 6379, database: 1 } as Parameters<typeof settings>[3];
  const files: Record<string, string> = {
    ...settings(airflow, { api: "http://airflow:8080", page: "" }, bucket, queue),
    "airflow/__init__.py": "",
    "airflow/plugins_manager.py": "class AirflowPlugin: pass\n",
    "celery/__init__.py": "",
    "celery/worker/__init__.py": "",
    "celery/worker/consumer.py": `
class Consumer:
    def __init__(self, on_task, worker_options=None, **options):
        self.given = (on_task, worker_options, options)
`,
  };
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
});
afterAll(() => rmSync(folder, { recursive: true }));

const python = async (script: string): Promise<unknown> => {
  const { stdout } = await execa("python3", ["-c", script], { cwd: folder, env: { PYTHONPATH: folder } });
  return JSON.parse(stdout);
};

/** A server that works on each request until `end` is set, and counts those that it works on. */
const server = `
import asyncio, json
from request_limit import RequestLimitPlugin

[middleware] = RequestLimitPlugin.fastapi_root_middlewares


class Server:
    def __init__(self, starts_first=False, fails=False):
        self.starts_first, self.fails = starts_first, fails
        self.end = asyncio.Event()
        self.paths = []
        self.limited = middleware["middleware"](self, **middleware["kwargs"])

    async def __call__(self, scope, receive, send):
        self.paths.append(scope.get("path"))
        if self.starts_first:
            await send({"type": "http.response.start"})
        await self.end.wait()
        if self.fails:
            raise ValueError
        await send({"type": "http.response.start"})
        await send({"type": "http.response.body"})

    def request(self, path, type="http"):
        async def send(message):
            pass
        return asyncio.create_task(self.limited({"type": type, "path": path}, None, send))


async def settled():
    for _ in range(200):
        await asyncio.sleep(0)
`;

it("works on a limited number of requests, lets probes pass, and then takes those that wait", async () => {
  const result = await python(`${server}
async def main():
    server = Server()
    tasks = [server.request("/api/v2/dags") for _ in range(100)]
    await settled()
    first = len(server.paths)
    tasks += [server.request(path) for path in ("/execution/health", "/api/v2/monitor/health", "/api/v2/version")]
    tasks.append(server.request(None, "lifespan"))
    await settled()
    others = server.paths[first:]
    server.end.set()
    await asyncio.gather(*tasks)
    print(json.dumps([first, others, len(server.paths)]))

asyncio.run(main())`);
  expect(result).toEqual([
    airflowRequests,
    ["/execution/health", "/api/v2/monitor/health", "/api/v2/version", null],
    104,
  ]);
});

it("does not count an answer that is on its way, and counts it once", async () => {
  const result = await python(`${server}
async def main():
    server = Server(starts_first=True)
    streams = [server.request("/api/v2/stream") for _ in range(100)]
    await settled()
    started = len(server.paths)
    server.starts_first = False
    tasks = [server.request("/api/v2/dags") for _ in range(100)]
    await settled()
    working = len(server.paths) - started
    server.end.set()
    await asyncio.gather(*streams, *tasks)
    server.end.clear()
    tasks = [server.request("/api/v2/dags") for _ in range(100)]
    await settled()
    print(json.dumps([started, working, len(server.paths) - 200]))

asyncio.run(main())`);
  expect(result).toEqual([100, airflowRequests, airflowRequests]);
});

it("takes the next request after one that fails", async () => {
  const result = await python(`${server}
async def main():
    server = Server(fails=True)
    tasks = [server.request("/api/v2/dags") for _ in range(100)]
    server.end.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    print(json.dumps([len(server.paths), [type(one).__name__ for one in results].count("ValueError")]))

asyncio.run(main())`);
  expect(result).toEqual([100, 100]);
});

it("gives Celery's consumer its options, without heartbeats", async () => {
  const result = await python(`
import json
from celery_consumer import Consumer

options = [{"worker_options": {"without_gossip": True, "without_heartbeat": False}}, {}]
print(json.dumps([Consumer("handler", hostname="me", **one).given for one in options]))`);
  const given = (options: object) => ["handler", { ...options, without_heartbeat: true }, { hostname: "me" }];
  expect(result).toEqual([given({ without_gossip: true }), given({})]);
});
