// Proves the pure functions of the local cluster.
// Does not prove that it runs: the cluster tests do, and 95-kind for kind.
import { X509Certificate } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import * as toml from "smol-toml";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { parse } from "yaml";
import { kindConfig, kindHosts, packagedNode } from "../../components/kind/cluster.ts";
import { registryHosts } from "../../components/kind/registry-hosts.ts";
import { binary, groups, kubernetesVersion } from "../../local/cluster/binaries.ts";
import { ensureCertificates } from "../../local/cluster/certificates.ts";
import { metricsServer } from "../../local/cluster/components.ts";
import { corefile, kubeconfig, kubeconfigOf, kubeletFile, proxyFile } from "../../local/cluster/configs.ts";
import { processesIn } from "../../local/cluster/daemons.ts";
import { upSteps } from "../../local/cluster/index.ts";
import { runningSinceBefore } from "../../local/cluster/kind.ts";
import { network, policyTables, ports } from "../../local/cluster/layout.ts";
import { baseManifests, type Manifest, metricsManifests, simulatedNodes } from "../../local/cluster/manifests.ts";
import { overlaps } from "../../local/cluster/network.ts";
import { authorityFile, certificateFile, identities, keyFile } from "../../local/cluster/pki.ts";
import { checkFree } from "../../local/cluster/ports.ts";
import { builtName } from "../../local/go.ts";
import { definitionOf } from "../../local/images/definitions.ts";

// Nothing is compiled here.
vi.mock(import("../../local/cluster/binaries.ts"), async (original) => ({ ...(await original()), binary: vi.fn() }));

it("removes the tables that the enforcement of NetworkPolicies adds", () => {
  const source = readFileSync("local/cluster/go/network-policies/enforcer/main.go", "utf8");
  const [, table] = /^const table = "(.+)"$/m.exec(source) ?? [];
  expect(policyTables).toEqual([`inet ${table}`, `ip ${table}`]);
});

describe("overlaps", () => {
  it.each([
    ["10.244.0.0/16", "10.244.3.0/24", true],
    ["10.0.0.0/8", "10.96.0.0/16", true],
    ["10.244.0.7", "10.244.0.0/17", true],
    ["0.0.0.0/0", "10.96.0.0/16", true],
    ["10.245.0.0/16", "10.244.0.0/16", false],
    ["10.244.128.0/17", "10.244.0.0/17", false],
    ["192.168.1.0/24", "10.96.0.0/16", false],
    ["200.1.0.0/16", "200.1.4.0/24", true],
  ])("%s and %s: %s", (a, b, expected) => {
    expect(overlaps(a, b)).toBe(expected);
    expect(overlaps(b, a)).toBe(expected);
  });

  it("finds no overlap of the cluster's networks with each other, and finds the ranges inside them", () => {
    expect(overlaps(network.cluster, network.services)).toBe(false);
    expect(overlaps(network.pods, network.simulatedPods)).toBe(false);
    expect(overlaps(network.address, network.pods)).toBe(true);
    expect(overlaps(network.dnsService, network.services)).toBe(true);
  });
});

it("gives every port once", () => {
  const all = Object.values(ports);
  expect(new Set(all).size).toBe(all.length);
});

describe("binaries", () => {
  it.each([
    ["go.etcd.io/etcd/server/v3", "server"],
    ["github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2", "containerd-shim-runc-v2"],
    ["./coredns", "coredns"],
    ["sigs.k8s.io/kind", "kind"],
  ])("go build calls %s %s", (pkg, name) => expect(builtName(pkg)).toBe(name));

  it.each(Object.entries(groups))("%s: its module pins every package it is built from", (_, group) => {
    const goMod = readFileSync(join("local/cluster/go", group.module, "go.mod"), "utf8");
    for (const pkg of Object.values(group.binaries))
      if (pkg.startsWith("./")) expect(readdirSync(join("local/cluster/go", group.module, pkg))).toEqual(["main.go"]);
      else expect(goMod).toMatch(new RegExp(`^tool ${pkg}$`, "m"));
  });

  it("stamps Kubernetes with the version it is built from", () => {
    const goMod = readFileSync("local/cluster/go/kubernetes/go.mod", "utf8");
    const pinned = /k8s\.io\/kubernetes (v[\d.]+)/.exec(goMod)?.[1];
    expect(groups.kubernetes.stamp).toMatch(new RegExp(`gitVersion=${pinned}$`));
  });
});

describe("registry hosts", () => {
  const hosts = Object.fromEntries(
    registryHosts("http://mirror:1").map(({ path, content }) => [path, toml.parse(content)]),
  );
  const mirror = { "http://mirror:1": { capabilities: ["pull", "resolve"] } };

  it("uses this machine's registry first, then the image's own", () => {
    expect(hosts["quay.io/hosts.toml"]).toEqual({ server: "https://quay.io", host: mirror });
    expect(hosts["docker.io/hosts.toml"]).toEqual({ server: "https://registry-1.docker.io", host: mirror });
  });

  it("leaves an unknown registry to containerd, after the mirror", () => {
    expect(hosts["_default/hosts.toml"]).toEqual({ host: mirror });
  });

  it("maps the name in this machine's images to the registry", () => {
    expect(hosts["localhost:5001/hosts.toml"]).toEqual({ server: "http://mirror:1" });
  });
});

describe("kind", () => {
  const machine = { certs: "/certs", home: "/home/me", cgroupV1: false };

  it("mounts the registry hosts for its containerd, and the user's home at its own path", () => {
    expect(kindConfig(machine).nodes).toEqual([
      {
        role: "control-plane",
        extraMounts: [
          { hostPath: "/certs", containerPath: "/etc/containerd/certs.d", readOnly: true },
          { hostPath: "/home/me", containerPath: "/home/me", readOnly: true },
        ],
      },
    ]);
  });

  it("creates the node from the given image, else from kind's own", () => {
    expect(kindConfig(machine).nodes[0]).not.toHaveProperty("image");
    expect(kindConfig(machine, "localhost:5001/kindest/node:v1.0.0").nodes[0]).toMatchObject({
      image: "localhost:5001/kindest/node:v1.0.0",
    });
  });

  it("lets kubelet accept cgroup v1 only on a machine that has it", () => {
    expect(kindConfig(machine)).not.toHaveProperty("kubeadmConfigPatches");
    const [patch] = (kindConfig({ ...machine, cgroupV1: true }) as { kubeadmConfigPatches: string[] })
      .kubeadmConfigPatches;
    expect(parse(patch!)).toMatchObject({ kind: "KubeletConfiguration", failCgroupV1: false });
  });

  it("builds its image from packages with the embedded cluster's Kubernetes version", () => {
    expect(packagedNode).toBe(`kindest/node:${kubernetesVersion}`);
    expect(definitionOf(packagedNode)?.folder).toBe("local/images/kind-node");
    expect(definitionOf("kindest/node:v1.35.0")).toBeUndefined();
  });

  it("waits for the status of pods that seem to run since before their node started", () => {
    const started = new Date("2026-01-01T00:00:10.9Z");
    const pod = (name: string, ...states: object[]) => ({
      metadata: { name, namespace: "n" },
      status: { containerStatuses: states.map((state) => ({ state })) },
    });
    const since = (startedAt: string) => ({ running: { startedAt } });
    const items = [
      pod("before", since("2026-01-01T00:00:09Z")),
      pod("one-of-two", since("2026-01-01T00:00:12Z"), since("2025-12-31T00:00:00Z")),
      pod("after", since("2026-01-01T00:00:10Z")),
      pod("waits", { waiting: {} }),
      pod("ended", { terminated: { startedAt: "2025-12-31T00:00:00Z" } }),
      { metadata: { name: "new", namespace: "n" } },
    ];
    expect(runningSinceBefore({ items }, started)).toEqual(["n/before", "n/one-of-two"]);
  });

  it("reaches the registry by its container's name, for any image name", () => {
    for (const { content } of kindHosts()) expect(content).toContain('"http://data-platform-registry:5000"');
  });
});

describe("manifests", () => {
  const manifests = baseManifests("test/provisioner");

  it("has one default storage class, and all of them grow, bind late and delete", () => {
    const classes = manifests.filter(({ kind }) => kind === "StorageClass");
    const isDefault = "storageclass.kubernetes.io/is-default-class";
    expect(classes.map(({ metadata }) => [metadata.name, metadata.annotations?.[isDefault]])).toEqual([
      ["standard", "true"],
      ["local-path", "false"],
    ]);
    for (const storageClass of classes)
      expect(storageClass).toMatchObject({
        provisioner: "test/provisioner",
        reclaimPolicy: "Delete",
        volumeBindingMode: "WaitForFirstConsumer",
        allowVolumeExpansion: true,
      });
  });

  it("sends DNS of pods to CoreDNS on the node", () => {
    const service = manifests.find(({ kind }) => kind === "Service")!;
    const slice = manifests.find(({ kind }) => kind === "EndpointSlice")!;
    expect(service.spec).toMatchObject({ clusterIP: network.dnsService });
    expect(slice.metadata.labels).toEqual({ "kubernetes.io/service-name": service.metadata.name });
    expect(slice).toMatchObject({ endpoints: [{ addresses: [network.address] }] });
    for (const port of slice.ports as { port: number }[]) expect(port.port).toBe(ports.dns);
  });

  it("creates simulated nodes of the requested size, managed by kwok, in three zones", () => {
    const nodes = simulatedNodes({ count: 4, cpu: 8, memory: "32Gi" });
    expect(nodes.map(({ metadata }) => metadata.name)).toEqual([
      "simulated-0",
      "simulated-1",
      "simulated-2",
      "simulated-3",
    ]);
    expect(new Set(nodes.map(({ metadata }) => metadata.labels!["topology.kubernetes.io/zone"])).size).toBe(3);
    for (const node of nodes) {
      expect(node.metadata.annotations).toEqual({ "kwok.x-k8s.io/node": "fake" });
      expect(node.status).toMatchObject({ allocatable: { cpu: "8", memory: "32Gi" } });
      expect(node.spec).toBeUndefined();
    }
  });
});

describe("metrics-server", () => {
  const { user } = identities["metrics-server"];
  const of = (kind: string, all: Manifest[]) => all.find((one) => one.kind === kind);

  it("is found by the API server under a name of its certificate, by the authority that signed it", () => {
    const all = metricsManifests("PEM");
    expect(of("APIService", all)).toMatchObject({
      spec: {
        service: { name: "metrics-server", namespace: "kube-system", port: 443 },
        caBundle: Buffer.from("PEM").toString("base64"),
      },
    });
    expect(of("APIService", all)).not.toHaveProperty("spec.insecureSkipTLSVerify");
    expect(identities["metrics-server"]).toMatchObject({
      by: "cluster",
      serves: expect.arrayContaining(["metrics-server.kube-system.svc"]),
    });
    // The API server compares the names of the ports.
    expect(of("Service", all)).toMatchObject({ spec: { ports: [{ name: "https", port: 443 }] } });
    expect(of("EndpointSlice", all)).toMatchObject({
      endpoints: [{ addresses: [network.address], conditions: { ready: true } }],
      ports: [{ name: "https", port: ports.metrics }],
    });
  });

  it("may read the usage from kubelet, and nothing of Secrets", () => {
    const all = baseManifests("p").filter(({ metadata }) => metadata.name.startsWith(user));
    expect(all.map(({ kind }) => kind).sort()).toEqual([
      ...["ClusterRole", "ClusterRoleBinding", "ClusterRoleBinding", "RoleBinding"],
    ]);
    expect(of("ClusterRole", all)?.rules).toEqual([
      { apiGroups: [""], resources: ["nodes/metrics"], verbs: ["get"] },
      { apiGroups: [""], resources: ["pods", "nodes"], verbs: ["get", "list", "watch"] },
    ]);
    for (const { subjects } of all.filter(({ kind }) => kind.endsWith("Binding")))
      expect(subjects).toEqual([{ apiGroup: "rbac.authorization.k8s.io", kind: "User", name: user }]);
  });

  it("is built only for a stack that wants it", () => {
    const built = (metrics: boolean) => upSteps({ metrics }).some(({ title }) => title === "Build metrics-server");
    expect(built(true)).toBe(true);
    expect(built(false)).toBe(false);
  });
});

it("reports which process has a required port", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await expect(checkFree("etcd", [["127.0.0.1", port]])).rejects.toThrow(
    new RegExp(`^etcd needs port ${port} of 127\\.0\\.0\\.1, and .+ has it\\. Stop that first\\.$`),
  );
  await expect(checkFree("etcd", [["127.0.0.2", port]])).resolves.toBeUndefined();
  await new Promise((resolve) => server.close(resolve));
  await expect(checkFree("etcd", [["127.0.0.1", port]])).resolves.toBeUndefined();
});

it("finds no process in a missing control group", () => {
  expect(processesIn("/sys/fs/cgroup/no/such/group")).toEqual([]);
});

describe("certificates and what refers to them", () => {
  const state = mkdtempSync(join(tmpdir(), "pki-"));
  const read = (file: string) => readFileSync(file, "utf8");
  const certificate = (file: string) => new X509Certificate(read(file));

  beforeAll(async () => {
    vi.stubEnv("PLATFORM_STATE", state);
    await ensureCertificates();
  });
  afterAll(() => {
    vi.unstubAllEnvs();
    rmSync(state, { recursive: true });
  });

  it.each(Object.entries(identities))("%s: signed only by its authority, with its user", (name, identity) => {
    const own = certificate(certificateFile(name as keyof typeof identities));
    for (const authority of ["cluster", "front-proxy", "etcd", "front-door"] as const)
      expect(own.verify(certificate(authorityFile(authority)).publicKey)).toBe(authority === identity.by);
    expect(own.subject.split("\n")).toContain(`CN=${identity.user}`);
    if ("group" in identity) expect(own.subject.split("\n")).toContain(`O=${identity.group}`);
    expect(own.subjectAltName !== undefined).toBe("serves" in identity);
  });

  it("serves the API under every name and address that clients use", () => {
    const own = certificate(certificateFile("api-server"));
    expect(own.checkHost("kubernetes.default.svc.cluster.local")).toBeTruthy();
    for (const address of [network.address, network.apiService, "127.0.0.1"]) expect(own.checkIP(address)).toBeTruthy();
  });

  it("makes keys readable only by their owner", () => {
    expect(statSync(keyFile("admin")).mode & 0o777).toBe(0o600);
    expect(statSync(join(state, "cluster", "pki")).mode & 0o777).toBe(0o700);
  });

  it("keeps valid certificates", async () => {
    const before = [read(authorityFile("cluster")), read(certificateFile("kubelet"))];
    await ensureCertificates();
    expect([read(authorityFile("cluster")), read(certificateFile("kubelet"))]).toEqual(before);
  });

  it("replaces certificates that expire soon or that another authority signed", async () => {
    const [authority, own] = [read(authorityFile("cluster")), read(certificateFile("kubelet"))];
    vi.useFakeTimers({
      now: Date.parse(certificate(certificateFile("kubelet")).validTo) - 86_400_000,
      toFake: ["Date"],
    });
    await ensureCertificates();
    expect(read(authorityFile("cluster"))).toBe(authority);
    expect(read(certificateFile("kubelet"))).not.toBe(own);
    vi.setSystemTime(Date.parse(certificate(authorityFile("cluster")).validTo));
    await ensureCertificates();
    vi.useRealTimers();
    expect(read(authorityFile("cluster"))).not.toBe(authority);
    expect(certificate(certificateFile("kubelet")).verify(certificate(authorityFile("cluster")).publicKey)).toBe(true);
  });

  it("embeds the administrator's key in its kubeconfig, and refers to the files of all others", () => {
    const user = (identity: "admin" | "kubelet") => parse(kubeconfig(identity, "x").content).users[0].user;
    expect(Buffer.from(user("admin")["client-key-data"], "base64").toString()).toBe(read(keyFile("admin")));
    expect(user("kubelet")).toEqual({
      "client-certificate": certificateFile("kubelet"),
      "client-key": keyFile("kubelet"),
    });
  });

  it("neither evicts pods nor removes images because of a full disk", () => {
    const config = parse(kubeletFile().content);
    expect(config.evictionHard).toMatchObject({ "nodefs.available": "0%", "imagefs.available": "0%" });
    expect(config.imageGCHighThresholdPercent).toBe(100);
    expect(config.maxPods).toBeGreaterThanOrEqual(110);
  });

  it("lets metrics-server show kubelet a certificate, and accept one of the cluster's authority alone", async () => {
    vi.mocked(binary).mockImplementation(async (name) => `/bin/${name}`);
    // What a daemon reads at its start is in its fingerprint.
    const { path, content } = kubeconfig("metrics-server", kubeconfigOf("metrics-server"));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    const { args, listens } = await metricsServer();
    expect(args).toContain(`--kubeconfig=${path}`);
    expect(args).toContain(`--kubelet-certificate-authority=${authorityFile("cluster")}`);
    expect(args.filter((arg) => arg.includes("insecure"))).toEqual([]);
    expect(parse(content).users[0].user).toEqual({
      "client-certificate": certificateFile("metrics-server"),
      "client-key": keyFile("metrics-server"),
    });
    expect(listens).toEqual([[network.address, ports.metrics]]);
    expect(certificate(certificateFile("metrics-server")).checkIP(network.address)).toBeTruthy();
  });

  it("opens node ports and DNS only on the cluster's own address", () => {
    expect(parse(proxyFile().content).nodePortAddresses).toEqual([`${network.address}/32`]);
    expect(corefile().content).toContain(`bind ${network.address}\n`);
  });
});
