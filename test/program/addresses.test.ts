// Proves that no rendered command or configuration listens on IPv4 only, as far as its text shows.
// Does not prove that the software starts on an IPv6-only cluster.
import { expect, it } from "vitest";
import { containersOf, type KubernetesObject, podOf } from "../../policy/rules/index.ts";
import { evaluated } from "./stacks.ts";

/** Texts with `0.0.0.0` that mean every address. */
const allowed = [
  // Java binds 0.0.0.0 to every address of both families.
  /^ConfigMap flink-(job|task)manager /,
  // Mandatory, and overridden by an argument.
  /^\w+ noetl[\w-]* NOETL_HOST$/,
];

/** Every text of an object that a program reads, by its path. */
function texts(object: KubernetesObject): [where: string, text: string][] {
  const pod = podOf(object);
  type Container = { command?: string[]; args?: string[]; env?: { name: string; value?: string }[] };
  const inPods = (pod ? containersOf(pod.spec) : []).flatMap(({ command = [], args = [], env = [] }: Container) => [
    ["command", [...command, ...args].join(" ")],
    ...env.map(({ name, value = "" }) => [name, value]),
  ]);
  const inFiles = Object.entries((object.data ?? object.stringData ?? {}) as Record<string, string>);
  return [...inPods, ...inFiles].map(([where, text]) => [
    `${object.kind} ${object.metadata.name} ${where}`,
    String(text),
  ]);
}

/** gunicorn binds an address without a host to IPv4. */
const ipv4Alone = (text: string) => (text.includes("0.0.0.0") && !text.includes("::")) || /--bind[= ]"?:?\d/.test(text);

it.each(["dev", "test", "prod"])("nothing in %s listens on IPv4 only", async (stack) => {
  const { objects } = await evaluated(stack, { changes: "monitoring: { enabled: true }" });
  const found = objects
    .flatMap(texts)
    .filter(([where, text]) => ipv4Alone(text) && !allowed.some((one) => one.test(where)))
    .map(([where]) => where);
  expect(found).toEqual([]);
});

it.each([
  ["exec gunicorn --bind 0.0.0.0:5000", true],
  ["gunicorn mysite.wsgi --bind=:8000", true],
  ['any=0.0.0.0; [ ! -e /proc/net/if_inet6 ] || any="[::]"; exec gunicorn --bind "$any:8000" "$@"', false],
  ["<listen_host>0.0.0.0</listen_host>", true],
  ["uvicorn --host= --port 8082", false],
])("%s: IPv4 only is %s", (text, alone) => {
  expect(ipv4Alone(text)).toBe(alone);
});

it("gives Airflow's API server every address, and its processes the pod's own in either family", async () => {
  const { objects } = await evaluated("test");
  const config = objects.find(({ metadata }) => metadata.name === "airflow-config")!.data as Record<string, string>;
  expect(config["airflow.cfg"]).toContain("\nhost =\n");
  expect(config["airflow.cfg"]).toContain("\nhostname_callable = pod_address.in_url\n");
  expect(JSON.stringify(config)).not.toMatch(/gethostby|get_host_ip_address/);
});
