// Proves that quantities in any notation of Kubernetes reach the servers as whole numbers.
// Does not prove that the servers run with such sizes.
import { beforeAll, describe, expect, it } from "vitest";
import { type Evaluated, evaluated, named } from "./stacks.ts";

/** About 1.5 GiB in different notations, none of them a whole number of MiB. */
const forms = ["1.47Gi", "1600M", "1562499Ki", "1600000001", "1.6e9", "1600000000000m"];
const sized = (form: string) => ({ requests: { memory: "1G" }, limits: { memory: form } });

describe.each(forms)("a memory limit of %s", (form) => {
  let program: Evaluated;
  beforeAll(async () => {
    const resources = sized(form);
    program = await evaluated("test", {
      changes: JSON.stringify({
        postgresql: { resources, storage: { size: form } },
        redis: { resources },
        nessie: { resources },
        kafka: { resources },
        clickhouse: { resources },
        trino: { coordinator: { resources }, worker: { resources } },
        flink: { jobManager: { resources }, taskManager: { resources } },
        spark: { master: { resources }, worker: { memory: "700M", scratch: "4e9", resources } },
        webApp: { redis: { resources } },
        monitoring: { enabled: true, prometheus: { storage: { size: form } } },
        cloudnativePg: { enabled: true, operator: "existing" },
        polls: { database: "cloudnative-pg", databaseCluster: { resources, storage: { size: form } } },
      }),
    });
  });

  it("is a whole number in the servers' settings", () => {
    const text = JSON.stringify(program.objects);
    expect(text).not.toMatch(/NaN|undefined|Infinity/);
    const given = (pattern: RegExp) => [...text.matchAll(pattern)].map(([, number]) => number);
    const numbers = [
      ...given(/-Xm[sx]([^ "\\]+)/g),
      ...given(/(?:shared_buffers|max_wal_size|maintenance_work_mem) = ([^\\]+)/g),
      ...given(/maxmemory (\d[^\\]+)/g),
      ...given(/retention\.size=([^"]+)/g),
      ...given(/process\.size: \\+"([^\\]+)/g),
      ...given(/memory-per-node=([^\\]+)/g),
      ...given(/<max_server_memory_usage>([^<]+)/g),
    ];
    expect(numbers.length).toBeGreaterThan(15);
    for (const number of numbers) expect(number).toMatch(/^[1-9]\d*([mM]b?|MB)?$/);
  });

  it("is the container's limit, as written", () => {
    const { limits } = named(program, "StatefulSet", "redis").spec.template.spec.containers[0].resources;
    expect(limits.memory).toBe(form);
  });
});
