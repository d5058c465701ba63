// Proves which pages have a host with `global.domain`, that each leads to an existing port behind HTTPS, and that each
// server is given the address that people type.
// Does not prove that a controller serves them, nor that a browser can log in.
import { beforeAll, describe, expect, it } from "vitest";
import { wantedBy } from "../../cli/up.ts";
import { containersOf, type KubernetesObject, podOf } from "../../policy/rules/index.ts";
import { type Evaluated, evaluated, named } from "./stacks.ts";

const domain = "data.example.com";
const openPages = ["nessie", "trino", "flink", "spark", "noetl", "prometheus", "alertmanager", "webApp", "deployd"];
const open = Object.fromEntries(openPages.map((key) => [key, { allowWithoutLogin: true }]));
const changes = (frontDoor: object, global: object = {}) =>
  JSON.stringify({
    global: { domain, cluster: "plain", networkPolicies: { enabled: false }, ...global },
    frontDoor,
    monitoring: {
      enabled: true,
      alertmanager: { enabled: true, config: { route: { receiver: "none" }, receivers: [{ name: "none" }] } },
    },
    noetl: { instances: { main: {}, old: {} } },
    djangoApps: { shop: { image: "apps/shop:1.0.0" } },
  });
const secret = { tls: { existingSecret: "pages" } };

const ingressesOf = ({ objects }: Evaluated) => objects.filter(({ kind }) => kind === "Ingress");
const hostsOf = (program: Evaluated) => ingressesOf(program).map(({ spec }) => spec.rules[0].host as string);

const withLogin = ["airflow", "django-shop", "grafana", "minio", "polls", "superset"];
const withoutLogin = [
  "alertmanager",
  "deployd",
  "flink",
  "nessie",
  "noetl",
  "noetl-old",
  "prometheus",
  "spark",
  "trino",
  "web-app",
];
const hosts = (names: string[]) => names.map((name) => `${name}.${domain}`).sort();

/** Whether a Service of the namespace has the port and selects pods that have it too. */
function leadsSomewhere(
  program: Evaluated,
  namespace: string,
  { name, port }: { name: string; port: number | string },
) {
  const service = program.objects.find(
    ({ kind, metadata }) => kind === "Service" && metadata.name === name && metadata.namespace === namespace,
  );
  const found = service?.spec.ports.find((one: { name: string; port: number }) => [one.name, one.port].includes(port));
  return program.objects.some((object: KubernetesObject) => {
    const pod = podOf(object);
    return (
      pod &&
      object.metadata.namespace === namespace &&
      Object.entries(service?.spec.selector ?? { none: "" }).every(([key, value]) => pod.labels[key] === value) &&
      containersOf(pod.spec).some(({ ports = [] }) =>
        ports.some(({ name }: { name: string }) => name === found?.targetPort),
      )
    );
  });
}

describe("with a Secret", () => {
  let program: Evaluated;
  beforeAll(async () => {
    program = await evaluated("test", { changes: changes({ ...secret, ...open, className: "nginx" }) });
  });

  it("gives every page a host", () => {
    expect(hostsOf(program).sort()).toEqual(hosts([...withLogin, ...withoutLogin]));
    expect(named(program, "Ingress", "app-test-ingress-flask").spec.rules[0].host).toBe(`web-app.${domain}`);
  });

  it("serves each by HTTPS, from a port that exists", () => {
    for (const { metadata, spec } of ingressesOf(program)) {
      const [{ host, http }] = spec.rules;
      expect(spec).toMatchObject({ ingressClassName: "nginx", tls: [{ hosts: [host], secretName: "pages" }] });
      const { service } = http.paths[0].backend;
      const port = { name: service.name, port: service.port.name };
      expect({ host, leads: leadsSomewhere(program, metadata.namespace ?? "", port) }).toEqual({ host, leads: true });
    }
  });

  it("tells each server its address", () => {
    const text = (name: string) =>
      JSON.stringify(program.objects.filter(({ metadata }) => new RegExp(`^${name}`).test(metadata.name)));
    expect(text("airflow-config")).toContain(`base_url = https://airflow.${domain}\\n`);
    expect(text("airflow-config")).toContain("enable_proxy_fix = True");
    expect(text("airflow-api-server")).toContain('"FORWARDED_ALLOW_IPS","value":"*"');
    expect(text("airflow-api-server")).toContain('["airflow","api-server","--proxy-headers"]');
    expect(text("superset-config")).toContain("SESSION_COOKIE_SECURE = True");
    expect(text("superset-config")).toContain("ENABLE_PROXY_FIX = True");
    expect(text("spark-(config|application)").split(`spark.ui.reverseProxyUrl https://spark.${domain}`)).toHaveLength(
      3,
    );
    expect(text("minio")).toContain(`"MINIO_BROWSER_REDIRECT_URL","value":"https://minio.${domain}"`);
    expect(text("nessie-config")).toContain("quarkus.http.proxy.proxy-address-forwarding=true");
    expect(text("grafana-config")).toContain(`root_url = https://grafana.${domain}/\\n`);
    expect(text("grafana-config")).toContain("cookie_secure = true");
    expect(text("prometheus")).toContain(`--web.external-url=https://prometheus.${domain}/`);
    expect(text("alertmanager")).toContain(`--web.external-url=https://alertmanager.${domain}/`);
    expect(text("polls")).toContain(`"CSRF_TRUSTED_ORIGINS","value":"http://polls.${domain},https://polls.${domain}"`);
    expect(text("trino-coordinator")).toContain("http-server.process-forwarded=true");
  });
});

it("exposes no page without a login unless it is allowed", async () => {
  const none = await evaluated("test", { changes: changes(secret) });
  expect(hostsOf(none).sort()).toEqual(hosts(withLogin));
  expect(JSON.stringify(none.objects)).not.toContain(`https://spark.${domain}`);
  const one = await evaluated("test", { changes: changes({ ...secret, trino: { allowWithoutLogin: true } }) });
  expect(hostsOf(one).sort()).toEqual(hosts([...withLogin, "trino"]));
});

it("asks an issuer for a certificate of each host", async () => {
  const issuer = { tls: { issuer: { name: "letsencrypt", kind: "Issuer" } }, annotations: { a: "b" } };
  const program = await evaluated("test", { changes: changes(issuer) });
  const { metadata, spec } = named(program, "Ingress", "superset");
  expect(metadata.annotations).toMatchObject({ "cert-manager.io/issuer": "letsencrypt", a: "b" });
  expect(spec.tls).toEqual([{ hosts: [`superset.${domain}`], secretName: "superset-tls" }]);
  const secrets = ingressesOf(program).map(({ metadata, spec }) => `${metadata.namespace}/${spec.tls[0].secretName}`);
  expect(new Set(secrets).size).toBe(secrets.length);
});

it("has an authority of its own on the embedded cluster", async () => {
  const program = await evaluated("test", { changes: changes({}, { cluster: "embedded" }) });
  for (const { metadata } of ingressesOf(program))
    expect(metadata.annotations).toMatchObject({ "cert-manager.io/cluster-issuer": "local" });
});

it("routes by a Gateway instead, and redirects HTTP", async () => {
  const gateway = { name: "public", namespace: "gateways" };
  const program = await evaluated("test", { changes: changes({ routes: "httpRoute", gateway, ...open }) });
  expect(ingressesOf(program)).toEqual([]);
  expect(wantedBy(program.evaluation).frontDoor).toBe(true);
  const routes = program.objects.filter(({ kind }) => kind === "HTTPRoute");
  const of = (listener: string) => routes.filter(({ spec }) => spec.parentRefs[0].sectionName === listener);
  for (const listener of ["https", "http"])
    expect(
      of(listener)
        .map(({ spec }) => spec.hostnames[0])
        .sort(),
    ).toEqual(hosts([...withLogin, ...withoutLogin]));
  // The API server drops empty ones, which a second `up` would then add again.
  for (const { metadata } of routes) expect(metadata.annotations).toBeUndefined();
  for (const { metadata, spec } of of("https")) {
    expect(spec.parentRefs).toEqual([{ ...gateway, sectionName: "https" }]);
    expect(leadsSomewhere(program, metadata.namespace ?? "", spec.rules[0].backendRefs[0])).toBe(true);
  }
  for (const { spec } of of("http"))
    expect(spec.rules).toEqual([
      { filters: [{ type: "RequestRedirect", requestRedirect: { scheme: "https", statusCode: 301 } }] },
    ]);
});

it("keeps an application's own host and certificate", async () => {
  const own = { polls: { ingress: { host: "vote.example.org", tlsSecret: "vote" } } };
  const file = { ...JSON.parse(changes({ tls: { issuer: { name: "ca" } } })), ...own };
  const program = await evaluated("test", { changes: JSON.stringify(file) });
  const { metadata, spec } = named(program, "Ingress", "polls");
  expect(spec.rules[0].host).toBe("vote.example.org");
  expect(spec.tls).toEqual([{ hosts: ["vote.example.org"], secretName: "vote" }]);
  expect(metadata.annotations ?? {}).not.toHaveProperty("cert-manager.io/cluster-issuer");
});

describe("with a login by OpenID Connect", () => {
  const login = { issuer: "https://id.example.com/realms/data", existingSecret: "oidc", groups: ["data"] };
  let program: Evaluated;
  beforeAll(async () => {
    const frontDoor = { ...secret, login, prometheus: { allowWithoutLogin: true } };
    const controller = { namespaceLabels: { "kubernetes.io/metadata.name": "ingress" } };
    const file = JSON.parse(changes({ ...frontDoor, controller }, { networkPolicies: { enabled: true } }));
    program = await evaluated("test", { changes: JSON.stringify({ ...file, flink: { env: { OWN: "of Flink" } } }) });
  });
  const backend = (host: string) =>
    ingressesOf(program).find(({ spec }) => spec.rules[0].host === `${host}.${domain}`)?.spec.rules[0].http.paths[0]
      .backend.service.name;

  it("gives every page a host, those without a login behind it", () => {
    expect(hostsOf(program).sort()).toEqual([...hosts([...withLogin, ...withoutLogin]), domain].sort());
    const behind = withoutLogin.filter((name) => backend(name)?.endsWith("-login"));
    expect(behind).toEqual(withoutLogin.filter((name) => name !== "prometheus"));
    for (const name of withLogin) expect(backend(name)).not.toContain("login");
    for (const { metadata, spec } of ingressesOf(program)) {
      const { service } = spec.rules[0].http.paths[0].backend;
      expect(leadsSomewhere(program, metadata.namespace ?? "", { name: service.name, port: service.port.name })).toBe(
        true,
      );
    }
  });

  it("is given the page, the issuer and the groups", () => {
    const [container] = named(program, "Deployment", "flink-login").spec.template.spec.containers;
    expect(container.args).toEqual(
      expect.arrayContaining([
        `--redirect-url=https://flink.${domain}/oauth2/callback`,
        `--oidc-issuer-url=${login.issuer}`,
        "--allowed-group=data",
      ]),
    );
    expect(container.env).toContainEqual({
      name: "OAUTH2_PROXY_UPSTREAMS",
      value: "http://flink.test-apps.svc:8081/",
    });
    const args = (name: string) => named(program, "Deployment", name).spec.template.spec.containers[0].args.join(" ");
    expect(args("deployd-login")).toContain("--skip-auth-route=^/webhook$");
    expect(args("flink-login")).not.toContain("skip-auth-route");
    // A client could choose the path by which that decides: X-Forwarded-Uri.
    expect(args("deployd-login")).not.toContain("reverse-proxy");
  });

  it("is not given the variables that the stack has for the component", () => {
    const names = (name: string) =>
      named(program, "Deployment", name).spec.template.spec.containers[0].env.map((one: { name: string }) => one.name);
    expect(names("flink-jobmanager")).toContain("OWN");
    expect(names("flink-login")).not.toContain("OWN");
  });

  it("is in front of a page at the domain itself, which lists all others", () => {
    const { tls } = ingressesOf(program).find(({ spec }) => spec.rules[0].host === domain)?.spec ?? {};
    expect(tls).toEqual([{ hosts: [domain], secretName: "pages" }]);
    const page: string = named(program, "ConfigMap", "front-door-page").data?.["index.html"];
    const row = (name: string) => page.split("\n").find((line) => line.includes(`>${name}</a>`));
    for (const name of [...withLogin, ...withoutLogin])
      expect(row(name)).toContain(`<a href="https://${name}.${domain}/">`);
    expect(row("airflow")).toContain("<td>its own</td><td><code>./platform credentials airflow --stack test</code>");
    expect(row("flink")).toContain("<td>the front door's</td><td></td>");
    expect(row("prometheus")).toContain("<td>none</td>");
    const { spec } = named(program, "Deployment", "front-door-login").spec.template;
    expect(spec.volumes).toEqual([{ name: "files", configMap: { name: "front-door-page" } }]);
  });

  it("asks each page's server whether it answers, not its host name", () => {
    const page: string = named(program, "ConfigMap", "front-door-page").data?.["index.html"];
    const { env, args } = named(program, "Deployment", "front-door-login").spec.template.spec.containers[0];
    const upstreams: string[] = env
      .find(({ name }: { name: string }) => name === "OAUTH2_PROXY_UPSTREAMS")
      .value.split(",");
    expect(upstreams.pop()).toBe("file:///page/#/");
    expect(upstreams).toHaveLength(withLogin.length + withoutLogin.length);
    expect(upstreams).toContain("http://minio.test-core.svc:9001/state/minio");
    expect(upstreams).toContain("http://prometheus.test-monitoring.svc:9090/state/prometheus");
    for (const upstream of upstreams) {
      const { hostname, port, pathname } = new URL(upstream);
      const [name = "", namespace = ""] = hostname.split(".");
      expect({ upstream, leads: leadsSomewhere(program, namespace, { name, port: Number(port) }) }).toEqual({
        upstream,
        leads: true,
      });
      expect(page).toContain(`<tr data-state="${pathname}">`);
    }
    // Django refuses the host name of another page.
    expect(args).toContain("--pass-host-header=false");
    const [flink] = named(program, "Deployment", "flink-login").spec.template.spec.containers;
    expect(flink.args.join(" ")).not.toContain("pass-host-header");
    const policies = program.objects.filter(({ kind }) => kind === "NetworkPolicy");
    const from = '"app.kubernetes.io/component":"login","app.kubernetes.io/instance":"test-front-door"';
    for (const name of ["minio-server", "superset-web", "flink-jobmanager", "prometheus-server"])
      expect(JSON.stringify(policies.find(({ metadata }) => metadata.name === name)?.spec.ingress)).toContain(from);
  });

  it("trusts a private authority of the issuer's, where one is named", async () => {
    const frontDoor = { ...secret, login: { ...login, caConfigMap: "oidc-ca" } };
    const private_ = await evaluated("test", { changes: changes(frontDoor) });
    for (const name of ["flink-login", "nessie-login", "front-door-login"]) {
      const { containers, volumes } = named(private_, "Deployment", name).spec.template.spec;
      expect(containers[0].args).toContain("--provider-ca-file=/authority/ca.crt");
      expect(containers[0].volumeMounts).toContainEqual({ name: "authority", mountPath: "/authority" });
      expect(volumes).toContainEqual({ name: "authority", configMap: { name: "oidc-ca" } });
    }
    const [container] = named(program, "Deployment", "flink-login").spec.template.spec.containers;
    expect(container.args.join(" ")).not.toContain("provider-ca-file");
  });

  it("is the only one that the controller reaches of such a page", () => {
    const policies = program.objects.filter(({ kind }) => kind === "NetworkPolicy");
    const text = (name: string) =>
      JSON.stringify(policies.find(({ metadata }) => metadata.name === name)?.spec.ingress);
    const controller = '"kubernetes.io/metadata.name":"ingress"';
    expect(text("flink-login")).toContain(controller);
    expect(text("flink-jobmanager")).not.toContain(controller);
    expect(text("flink-jobmanager")).toContain('"app.kubernetes.io/component":"login"');
    expect(text("prometheus-server")).toContain(controller);
  });
});

describe("with network policies", () => {
  const policed = async (frontDoor: object, global: object) => {
    const file = JSON.parse(changes(frontDoor, { networkPolicies: { enabled: true }, ...global }));
    const program = await evaluated("test", {
      changes: JSON.stringify({ ...file, polls: { service: { type: "ClusterIP" } }, webApp: { enabled: false } }),
    });
    return program.objects.filter(({ kind }) => kind === "NetworkPolicy");
  };
  const peers = (policies: KubernetesObject[], name: string) =>
    policies
      .find(({ metadata }) => metadata.name === name)
      ?.spec.ingress?.flatMap(({ from, ports }: { from: object[]; ports: { port: number }[] }) =>
        from.map((peer) => ({ peer, ports: ports.map(({ port }) => port) })),
      );

  it("lets the controller in, to the pages alone", async () => {
    const controller = { namespaceLabels: { "kubernetes.io/metadata.name": "ingress" } };
    const policies = await policed({ ...secret, controller }, {});
    const peer = { namespaceSelector: { matchLabels: controller.namespaceLabels } };
    expect(peers(policies, "superset-web")).toContainEqual({ peer, ports: [8088] });
    expect(peers(policies, "minio-server")).toContainEqual({ peer, ports: [9001] });
    for (const name of ["trino-coordinator", "redis-server", "postgresql-server"])
      expect(peers(policies, name) ?? []).not.toContainEqual(expect.objectContaining({ peer }));
    for (const { peer } of peers(policies, "superset-web") ?? []) expect(peer).not.toHaveProperty("ipBlock");
  });

  it("needs no policy for the embedded cluster's own controller", async () => {
    const policies = await policed({}, { cluster: "embedded" });
    for (const { peer } of peers(policies, "superset-web") ?? []) expect(peer).not.toHaveProperty("ipBlock");
  });
});
