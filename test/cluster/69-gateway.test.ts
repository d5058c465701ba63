// Proves that each page of a stack is reached by HTTPRoutes of Gateway API, whose controller is the embedded cluster's
// Traefik: over HTTPS by its host name, with the Gateway's certificate; that the controller accepts every route, and that
// a route redirects HTTP; that pages' own redirects stay at HTTPS; that a second `up` changes nothing, and a change to
// Ingresses replaces no pod. `up` and a preview refuse the stack while the cluster lacks Gateway API or the Gateway.
// Does not prove another controller than Traefik, one that network policies can deny, nor a login in front of a page.
// Exercises: postgresql, minio, nessie, trino.
import { X509Certificate } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { parse } from "yaml";
import type { Live } from "../../kube/client.ts";
import { readiness } from "../../kube/ready.ts";
import { moduleFolder } from "../../local/cluster/binaries.ts";
import type { KubeObject } from "../../render/manifests.ts";
import { ask, certificateOf, signed, visit } from "./front-door.ts";
import {
  deleteNamespaces,
  fileOfComponents,
  get,
  kube,
  mustRun,
  platform,
  roomFor,
  servers,
  unchanged,
} from "./kit.ts";

const domain = "dev.localhost";
const hosts = ["minio", "nessie", "trino"].map((name) => `${name}.${domain}`);
const namespaces = ["dev-core", "dev-apps"];
const api = "gateway.networking.k8s.io/v1";
const gateway = { name: "public", namespace: "gateways" };

const components = (frontDoor: object) => ({
  global: { domain, networkPolicies: { enabled: true } },
  frontDoor: { ...frontDoor, nessie: { allowWithoutLogin: true }, trino: { allowWithoutLogin: true } },
  postgresql: { enabled: true },
  minio: { enabled: true },
  nessie: { enabled: true },
  trino: { enabled: true },
});
const byGateway = fileOfComponents(components({ routes: "httpRoute", gateway }));
const run = (command: string, file = byGateway) => platform([command, "--stack", "dev", "--config-file", file]);
const up = (file = byGateway) => mustRun(["up", "--stack", "dev", "--config-file", file]);

/** The kinds of Gateway API's standard channel, of the release that Traefik is built with. */
async function kinds(): Promise<KubeObject[]> {
  const folder = join(await moduleFolder("traefik", "sigs.k8s.io/gateway-api"), "config/crd/standard");
  return readdirSync(folder).map((file) => parse(readFileSync(join(folder, file), "utf8")) as KubeObject);
}

/** Deletes also what is of these kinds. */
async function deleteKinds(): Promise<void> {
  const all = await kinds();
  for (const kind of all) await kube().delete(kind);
  await vi.waitFor(
    async () => {
      for (const kind of all) expect(await kube().get(kind)).toBeUndefined();
    },
    { timeout: 60_000, interval: 500 },
  );
}

/** A Gateway for the routes of the stack's namespaces alone. Traefik finds its entry points by the listeners' ports. */
function gatewayManifests(certificate: string, key: string): KubeObject[] {
  const base64 = (text: string) => Buffer.from(text).toString("base64");
  const selector = {
    matchExpressions: [{ key: "kubernetes.io/metadata.name", operator: "In", values: namespaces }],
  };
  const listener = { hostname: `*.${domain}`, allowedRoutes: { namespaces: { from: "Selector", selector } } };
  return [
    { apiVersion: "v1", kind: "Namespace", metadata: { name: gateway.namespace } },
    {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "pages", namespace: gateway.namespace },
      type: "kubernetes.io/tls",
      data: { "tls.crt": base64(certificate), "tls.key": base64(key) },
    },
    {
      apiVersion: api,
      kind: "GatewayClass",
      metadata: { name: "traefik" },
      spec: { controllerName: "traefik.io/gateway-controller" },
    },
    {
      apiVersion: api,
      kind: "Gateway",
      metadata: gateway,
      spec: {
        gatewayClassName: "traefik",
        listeners: [
          { ...listener, name: "http", port: 80, protocol: "HTTP" },
          {
            ...listener,
            name: "https",
            port: 443,
            protocol: "HTTPS",
            tls: { mode: "Terminate", certificateRefs: [{ name: "pages" }] },
          },
        ],
      },
    },
  ];
}

const routes = async (): Promise<Live[]> =>
  (await Promise.all(namespaces.map((namespace) => kube().list(api, "HTTPRoute", namespace)))).flat();

/** The UIDs of the servers' pods. */
const uids = async () => (await servers(namespaces)).map(({ metadata }) => metadata.uid).sort();

/** Of tests that may have to build Traefik or images. */
const building = { timeout: 1_800_000 };

let fingerprint: string;

beforeAll(async () => {
  await roomFor(undefined);
  // Of a run that was interrupted.
  await deleteNamespaces([gateway.namespace]);
  await deleteKinds();
});

afterAll(async () => {
  await mustRun(["destroy", "--stack", "dev"]);
  await deleteNamespaces([gateway.namespace]);
  await deleteKinds();
});

const withoutNamespaces = async () => {
  for (const namespace of namespaces) expect(await get("Namespace", namespace)).toBeUndefined();
};

it.each(["preview", "up"])("%s is refused while the cluster lacks Gateway API", building, async (command) => {
  const { exitCode, all } = await run(command);
  expect(exitCode).not.toBe(0);
  expect(all).toContain(
    `stack dev: frontDoor.routes: found no kind HTTPRoute of ${api} in the cluster; expected Gateway API to be installed, for HTTPRoute dev-apps/`,
  );
  await withoutNamespaces();
});

it.each(["preview", "up"])("%s is refused while there is no Gateway", async (command) => {
  const all = await kinds();
  for (const kind of all) await kube().apply(kind);
  await vi.waitFor(
    async () => {
      for (const kind of all) expect(readiness((await kube().get(kind)) as Live)).toEqual({ state: "ready" });
    },
    { timeout: 60_000, interval: 500 },
  );
  const refused = await run(command);
  expect(refused.exitCode).not.toBe(0);
  expect(refused.all).toContain(
    "stack dev: frontDoor.gateway: found no Gateway public in namespace gateways; expected one with the listener https, for HTTPRoute dev-apps/",
  );
  await withoutNamespaces();
});

it("comes up by a Gateway, with the links, and a second `up` changes nothing", building, async () => {
  const { certificate, key } = await signed(`*.${domain}`, -1, 30);
  fingerprint = new X509Certificate(certificate).fingerprint256;
  for (const object of gatewayManifests(certificate, key)) await kube().apply(object);
  const printed = await up();
  for (const host of hosts) expect(printed).toContain(`https://${host}`);
  expect(await up()).toMatch(unchanged);
});

it("has routes that the controller accepts, with backends that it finds", async () => {
  await vi.waitFor(
    async () => {
      const all = await routes();
      // One for HTTPS and one for HTTP.
      expect(all.map(({ spec }) => spec.hostnames[0]).sort()).toEqual(hosts.flatMap((host) => [host, host]));
      for (const { metadata, spec, status } of all) {
        expect(status?.parents, metadata.name).toHaveLength(1);
        const [parent] = status.parents;
        expect(parent).toMatchObject({
          parentRef: spec.parentRefs[0],
          controllerName: "traefik.io/gateway-controller",
        });
        for (const type of ["Accepted", "ResolvedRefs"])
          expect(parent.conditions, metadata.name).toContainEqual(
            expect.objectContaining({ type, status: "True", observedGeneration: metadata.generation }),
          );
      }
    },
    { timeout: 60_000, interval: 500 },
  );
  // The controller uses them a moment later.
  for (const host of hosts)
    await vi.waitFor(async () => expect((await ask(`https://${host}/`)).status).toBeLessThan(400), {
      timeout: 60_000,
      interval: 500,
    });
});

it.each(hosts)("%s answers over HTTPS with the Gateway's certificate, also if asked over HTTP", async (host) => {
  const { urls, status } = await visit(`http://${host}/`);
  expect(urls[1]).toBe(`https://${host}/`);
  for (const url of urls.slice(1)) expect(url).toMatch(new RegExp(`^https://${host}/`));
  // Trino's page is at /ui/.
  if (host.startsWith("trino.")) expect(urls.length).toBeGreaterThan(2);
  expect(status).toBe(200);
  expect((await certificateOf(host)).fingerprint256).toBe(fingerprint);
});

it.each(hosts)("a route redirects what %s is asked over HTTP", async (host) => {
  // The entry point of Traefik, which redirects what has no route, answers 308.
  expect(await ask(`http://${host}/some/path?a=b`, { method: "POST" })).toMatchObject({
    status: 301,
    location: `https://${host}/some/path?a=b`,
  });
});

it("answers 404 for a host without a route", async () => {
  expect((await ask(`https://spark.${domain}/`)).status).toBe(404);
});

it("changes to Ingresses without replacing a pod", async () => {
  const before = await uids();
  await up(fileOfComponents(components({})));
  expect(await routes()).toEqual([]);
  expect(await uids()).toEqual(before);
  for (const host of hosts)
    await vi.waitFor(
      async () => {
        expect((await visit(`http://${host}/`)).status).toBe(200);
        // No longer the Gateway's, which is for all hosts, and the redirection of the entry point.
        expect((await certificateOf(host)).subjectaltname).toBe(`DNS:${host}`);
        expect(await ask(`http://${host}/`, { method: "POST" })).toMatchObject({
          status: 308,
          location: `https://${host}/`,
        });
      },
      { timeout: 60_000, interval: 500 },
    );
});
