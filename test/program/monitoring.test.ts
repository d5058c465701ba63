// Proves what monitoring adds to a stack: scrape targets, the dashboards' queries, RBAC, and which pods it rolls.
// Does not prove that the queries return anything: the cluster test does.
import { beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { changed, type Evaluated, evaluated, named } from "./stacks.ts";

const on = (more = "") => evaluated("test", { changes: `monitoring: { enabled: true${more} }` });

let off: Evaluated;
let program: Evaluated;
beforeAll(async () => {
  off = await evaluated("test");
  program = await on();
});

interface Scrape {
  job_name: string;
  kubernetes_sd_configs: { namespaces: { names: string[] }; selectors: { label: string }[] }[];
}
const scraped = ({ objects }: Evaluated) =>
  parse(
    objects.find(({ kind, metadata }) => kind === "ConfigMap" && metadata.name === "prometheus-config")!.data[
      "prometheus.yml"
    ],
  ).scrape_configs as Scrape[];
const dashboards = (of: Evaluated) => named(of, "ConfigMap", "exporters-dashboards").data as Record<string, string>;

it("is off by default", () => {
  expect(off.objects.filter(({ metadata }) => metadata.namespace === "test-monitoring")).toEqual([]);
});

it("rolls only the components that need a setting to report metrics", () => {
  const others = changed(off, program).filter((name) => {
    const [kind, ...rest] = name.split(" ");
    return ["Deployment", "StatefulSet"].includes(kind!) && off.objects.some((o) => o.metadata.name === rest.join(" "));
  });
  expect(others).toEqual([
    "Deployment airflow-api-server",
    "Deployment airflow-dag-processor",
    "Deployment airflow-scheduler",
    "Deployment airflow-triggerer",
    "Deployment airflow-worker",
    "Deployment superset",
    "Deployment superset-beat",
    "Deployment superset-worker",
    "StatefulSet kafka",
  ]);
});

it("selects the pods of each component in their namespace, by an existing port", () => {
  for (const { job_name, kubernetes_sd_configs } of scraped(program)) {
    const [{ namespaces, selectors }] = kubernetes_sd_configs as [Scrape["kubernetes_sd_configs"][0]];
    const labels = selectors[0]!.label.split(",").map((pair) => pair.split("="));
    const found = program.objects.filter(
      ({ kind, metadata, spec }) =>
        ["Deployment", "StatefulSet"].includes(kind) &&
        metadata.namespace === namespaces.names[0] &&
        labels.every(([key, value]) => spec.template.metadata.labels[key!] === value),
    );
    expect({ job_name, found: found.length }).toEqual({ job_name, found: 1 });
  }
});

it("names on each volume the key that sets its size", () => {
  const claims = program.objects.filter(
    ({ kind, metadata }) => kind === "PersistentVolumeClaim" && metadata.namespace === "test-monitoring",
  );
  expect(claims.map(({ metadata }) => metadata.annotations!["data-platform/config-key"]).sort()).toEqual([
    "monitoring.grafana.storage.size",
    "monitoring.prometheus.storage.size",
  ]);
});

it("lets Prometheus read pods, in the stack's own namespaces", () => {
  const roles = program.objects.filter(({ kind, metadata }) => kind === "Role" && metadata.name === "prometheus");
  expect(roles.map(({ metadata }) => metadata.namespace).sort()).toEqual(["test-apps", "test-core", "test-monitoring"]);
  for (const role of roles)
    expect((role as unknown as { rules: object }).rules).toEqual([
      { apiGroups: [""], resources: ["pods"], verbs: ["get", "list", "watch"] },
    ]);
});

describe("dashboards", () => {
  it("exist for each enabled component, and query what is scraped", async () => {
    expect(Object.keys(dashboards(program)).sort()).toEqual(
      [
        "airflow",
        "clickhouse",
        "flink",
        "kafka",
        "minio",
        "nessie",
        "postgresql",
        "redis",
        "schema-registry",
        "spark",
        "superset",
        "trino",
      ].map((part) => `${part}.json`),
    );
    const jobs = scraped(program).map(({ job_name }) => job_name);
    for (const text of Object.values(dashboards(program))) {
      const { panels } = JSON.parse(text) as { panels: { targets: { expr: string }[] }[] };
      for (const { expr } of panels.flatMap(({ targets }) => targets)) {
        const asked = /job=~"([^"]*)"/.exec(expr)![1]!.split("|");
        expect(jobs).toEqual(expect.arrayContaining(asked));
        expect(expr).not.toContain("$of");
      }
    }
  });

  it("exclude a disabled component", async () => {
    const changes = "monitoring: { enabled: true }\nflink: { enabled: false }";
    expect(Object.keys(dashboards(await evaluated("test", { changes })))).not.toContain("flink.json");
  });
});

it("has PodMonitors for an existing Prometheus Operator, with the configured labels", async () => {
  const monitors = ({ objects }: Evaluated) => objects.filter(({ kind }) => kind === "PodMonitor");
  expect(monitors(program)).toEqual([]);
  const own = await on(
    ", monitors: { enabled: true, labels: { release: prom } }, prometheus: { enabled: false }, grafana: { enabled: false }",
  );
  const jobs = scraped(program).map(({ job_name }) => job_name);
  expect(
    monitors(own)
      .map(({ metadata }) => metadata.name)
      .sort(),
  ).toEqual(jobs.filter((job) => !["prometheus-server"].includes(job)).sort());
  for (const { metadata } of monitors(own)) expect(metadata.labels!.release).toBe("prom");
  expect(own.objects.filter(({ metadata }) => /^(prometheus|grafana)/.test(metadata.name))).toEqual([]);
  // The dashboards exist too, with the label that Grafana's sidecar looks for.
  expect(named(own, "ConfigMap", "exporters-dashboards").metadata.labels!.grafana_dashboard).toBe("1");
});

describe("rules of the stack", () => {
  const rules = `, rules: [{ name: own, rules: [
    { alert: RedisDown, expr: 'up{job="redis-server"} == 0', for: 5m, labels: { severity: page }, annotations: { summary: "{{ $labels.pod }}" } }
  ] }]`;
  const groups = [
    {
      name: "own",
      rules: [
        {
          alert: "RedisDown",
          expr: 'up{job="redis-server"} == 0',
          for: "5m",
          labels: { severity: "page" },
          annotations: { summary: "{{ $labels.pod }}" },
        },
      ],
    },
  ];

  it("are a file that Prometheus reads, and alerts go to the stack's Alertmanagers", async () => {
    const after = await on(
      `${rules}, prometheus: { alertmanagers: ["alerts.ops.svc:9093", "https://alerts.example.com:443"] }`,
    );
    const data = named(after, "ConfigMap", "prometheus-config").data as Record<string, string>;
    expect(parse(data["rules.yml"] ?? "")).toEqual({ groups });
    const { rule_files, alerting } = parse(data["prometheus.yml"] ?? "");
    expect(rule_files).toEqual(["/etc/prometheus/rules.yml"]);
    expect(alerting.alertmanagers).toEqual([
      { static_configs: [{ targets: ["alerts.ops.svc:9093"] }] },
      { scheme: "https", static_configs: [{ targets: ["alerts.example.com:443"] }] },
    ]);
    expect(changed(program, after)).toEqual(["ConfigMap prometheus-config", "StatefulSet prometheus"]);
  });

  it("are a PrometheusRule for an operator's Prometheus", async () => {
    const after = await on(
      `${rules}, prometheus: { enabled: false }, grafana: { enabled: false }, monitors: { enabled: true, labels: { release: mine } }`,
    );
    const rule = after.objects.find(({ kind }) => kind === "PrometheusRule");
    expect(rule?.metadata.labels?.release).toBe("mine");
    expect(rule?.spec).toEqual({ groups });
  });
});

describe("Alertmanager", () => {
  const config = `{
    global: { smtp_smarthost: "mail.example.com:587", smtp_auth_username: alerts, smtp_auth_password_file: /etc/alertmanager/secrets/mail/password },
    templates: [/etc/alertmanager/secrets/texts/own.tmpl],
    route: { receiver: team, routes: [{ receiver: night, matchers: ['severity="page"'] }] },
    receivers: [
      { name: team, email_configs: [{ to: team@example.com }], webhook_configs: [{ url: "http://hook.ops.svc:8080/alerts" }] },
      { name: night, slack_configs: [{ channel: "#night", api_url_file: /etc/alertmanager/secrets/chat/url, http_config: { http_headers: { X-Own: { files: [/etc/alertmanager/secrets/chat/header] } } } }] }
    ]
  }`;
  const alerting = (more = "") => on(`, alertmanager: { enabled: true, config: ${config} }${more}`);

  it("has the configuration as it is, and the keys of Secrets as files by their names", async () => {
    const after = await alerting();
    const { data } = named(after, "ConfigMap", "alertmanager-config");
    expect(parse((data as Record<string, string>)["alertmanager.yml"] ?? "")).toEqual(parse(config));
    const { spec } = named(after, "StatefulSet", "alertmanager").spec.template;
    const [{ args, volumeMounts }] = spec.containers;
    expect(args).toContain("--web.external-url=http://alertmanager.test-monitoring.svc:9093/");
    expect(volumeMounts).toContainEqual({ name: "secrets", mountPath: "/etc/alertmanager/secrets" });
    const file = (name: string, key: string) => ({ secret: { name, items: [{ key, path: `${name}/${key}` }] } });
    expect(spec.volumes).toContainEqual({
      name: "secrets",
      projected: {
        sources: [file("chat", "header"), file("chat", "url"), file("mail", "password"), file("texts", "own.tmpl")],
      },
    });
  });

  it("is scraped, and gets the alerts of Prometheus beside the stack's own Alertmanagers", async () => {
    const after = await alerting(', prometheus: { alertmanagers: ["alerts.ops.svc:9093"] }');
    const { data } = named(after, "ConfigMap", "prometheus-config");
    expect(parse((data as Record<string, string>)["prometheus.yml"] ?? "").alerting.alertmanagers).toEqual([
      { static_configs: [{ targets: ["alertmanager.test-monitoring.svc:9093"] }] },
      { static_configs: [{ targets: ["alerts.ops.svc:9093"] }] },
    ]);
    expect(scraped(after).map(({ job_name }) => job_name)).toContain("alertmanager-server");
  });

  it("rolls Prometheus alone", async () => {
    const after = await alerting();
    const rolled = changed(program, after).filter((name) => /^(StatefulSet|Deployment) /.test(name));
    expect(rolled).toEqual(["StatefulSet alertmanager", "StatefulSet prometheus"]);
  });

  it("may reach its mail server, its webhook and HTTPS, and is reached by Prometheus alone, with network policies", async () => {
    const after = await evaluated("test", {
      changes: `global: { networkPolicies: { enabled: true } }\nmonitoring: { enabled: true, alertmanager: { enabled: true, config: ${config} } }`,
    });
    const { spec } = named(after, "NetworkPolicy", "alertmanager-server");
    const ports = (spec.egress as { to?: object[]; ports: { port: number }[] }[])
      .filter(({ to = [] }) => JSON.stringify(to).includes("0.0.0.0/0"))
      .flatMap((rule) => rule.ports.map(({ port }) => port));
    expect(ports.sort()).toEqual([443, 587, 8080]);
    expect(spec.ingress).toEqual([
      {
        from: [
          {
            namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "test-monitoring" } },
            podSelector: { matchLabels: expect.objectContaining({ "app.kubernetes.io/name": "prometheus" }) },
          },
        ],
        ports: [{ protocol: "TCP", port: 9093 }],
      },
    ]);
  });
});
