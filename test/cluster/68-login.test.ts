// Proves that a page without a login of its own is reached only by members of a group whom an OpenID Connect issuer has
// logged in: oauth2-proxy sends a browser there and the issuer sends it back, to a running stack with network policies and
// to an issuer whose certificate a private authority signed. The page at the domain lists all pages, whether each answers,
// also while a server is stopped, and how to get a password. A preview names what the login needs and does not find.
// Does not prove an issuer of the public internet, nor a session's end at the issuer; the issuer is a process of the node.
// Exercises: flink, nessie, minio, deployd, postgresql, components/front-door, components/front-door/images/oauth2-proxy.
import { AppsV1Api } from "@kubernetes/client-node";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { network } from "../../local/cluster/layout.ts";
import { ask, newSession, picture, shows } from "./front-door.ts";
import { Issuer } from "./issuer.ts";
import { fileOfComponents, get, kube, kubeConfig, mustRun, platform, podsOf, roomFor, secret } from "./kit.ts";
import { openBrowser } from "./visitor.ts";

const [core, apps] = ["dev-core", "dev-apps"];
const domain = "dev.localhost";
/** Pages without a login of their own, with the namespace of each. */
const closed = { deployd: apps, flink: apps, nessie: core };
const hosts = [domain, ...Object.keys(closed).map((name) => `${name}.${domain}`)];
const site = (name: string) => `https://${name}.${domain}`;
/** The groups of each user of the issuer. */
const people = { ada: ["engineers"], eve: ["guests"] };

const first = {
  global: { networkPolicies: { enabled: true } },
  postgresql: { enabled: true },
  minio: { enabled: true },
  nessie: { enabled: true },
  flink: { enabled: true },
  deployd: { enabled: true },
};
const withLogin = () =>
  fileOfComponents({
    ...first,
    global: { ...first.global, domain },
    frontDoor: { login: { issuer: issuer.url, existingSecret: "oidc", caConfigMap: "oidc-ca", groups: ["engineers"] } },
  });

let issuer: Issuer;
let browser: Browser | undefined;

beforeAll(async () => {
  await roomFor(undefined);
  // Pods and the browser reach this machine at its address on the cluster's network.
  issuer = await Issuer.start(hosts, people, network.address);
  await mustRun(["up", "--stack", "dev", "--config-file", fileOfComponents(first)]);
  browser = await openBrowser();
});

afterAll(async () => {
  await browser?.close();
  await mustRun(["destroy", "--stack", "dev"]);
  issuer?.stop();
});

it("names in a preview what it needs of the issuer and does not find", async () => {
  const { exitCode, all } = await platform(["preview", "--stack", "dev", "--config-file", withLogin()]);
  expect(exitCode).not.toBe(0);
  for (const namespace of [core, apps]) {
    expect(all).toContain(`frontDoor.login.existingSecret: found no Secret oidc in namespace ${namespace}; `);
    expect(all).toContain(`frontDoor.login.caConfigMap: found no ConfigMap oidc-ca in namespace ${namespace}; `);
  }
});

describe("with the issuer's Secret", () => {
  let ada: BrowserContext;

  beforeAll(async () => {
    for (const namespace of [core, apps]) {
      const stringData = { "client-id": issuer.clientId, "client-secret": issuer.clientSecret };
      await kube().apply({ apiVersion: "v1", kind: "Secret", metadata: { name: "oidc", namespace }, stringData });
      const data = { "ca.crt": issuer.authority };
      await kube().apply({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "oidc-ca", namespace }, data });
    }
    await mustRun(["up", "--stack", "dev", "--config-file", withLogin()]);
    // A certificate is signed a moment after its Ingress is created.
    const leads = async (host: string) => expect((await ask(`https://${host}/`)).status).toBe(302);
    for (const host of hosts) await vi.waitFor(() => leads(host), { timeout: 60_000, interval: 500 });
    if (browser) ada = await newSession(browser);
  });

  it.each(hosts)("%s leads to the issuer without a session, and answers no program", async (host) => {
    const { status, location } = await ask(`https://${host}/`);
    expect(status).toBe(302);
    expect(location).toMatch(new RegExp(`^${issuer.url}/auth\\?`));
    expect(new URL(location).searchParams.get("redirect_uri")).toBe(`https://${host}/oauth2/callback`);
    expect((await ask(`https://${host}/`, { accept: "application/json" })).status).toBe(401);
    // Not the path by which the page at the domain asks for a state either, nor a request that changes something.
    expect((await ask(`https://${host}/state/flink`, { accept: "application/json" })).status).toBe(401);
    expect((await ask(`https://${host}/`, { accept: "application/json", method: "POST" })).status).toBe(401);
  });

  it.each(Object.entries(closed))("%s has no other way from outside", async (name, namespace) => {
    const ingresses = await kube().list("networking.k8s.io/v1", "Ingress", namespace);
    const served = ingresses.flatMap(({ spec }) =>
      (spec.rules as Rule[]).flatMap(({ http }) => http.paths.map(({ backend }) => backend.service.name)),
    );
    expect(served).toContain(`${name}-login`);
    expect(served).not.toContain(name);
    expect((await get("Service", name, namespace))?.spec.type).toBe("ClusterIP");
  });

  it("leaves signed webhooks to deployd, and nothing else", async () => {
    const webhook = await ask(`${site("deployd")}/webhook`, { method: "POST" });
    expect(webhook.status).toBe(401);
    expect(webhook.body).toContain("X-Hub-Signature-256");
    for (const path of ["/webhook/", "/webhook/../deployments", "/webhook%2f..%2fdeployments", "/deployments?/webhook"])
      expect({ path, ...(await ask(site("deployd") + path)) }).toMatchObject({ status: 302 });
  });

  it("lets a member of the group in, and back to the page", async ({ skip }) => {
    if (!browser) return skip();
    const tab = await ada.newPage();
    await tab.goto(`${site("flink")}/`, { waitUntil: "domcontentloaded" });
    expect(new URL(tab.url()).origin).toBe(issuer.url);
    await picture(tab, "login");
    await logIn(tab, "ada");
    await tab.waitForURL(`${site("flink")}/**`);
    expect(await tab.title()).toBe("Apache Flink Web Dashboard");
    await shows(tab, "Available Task Slots");
    const cookies = await ada.cookies(site("flink"));
    expect(cookies).toMatchObject([{ name: "_oauth2_proxy", httpOnly: true, secure: true, sameSite: "Lax" }]);
  });

  it("asks for no second password at the next page, and leads to the path that was asked for", async ({ skip }) => {
    if (!browser) return skip();
    const tab = await ada.newPage();
    await tab.goto(`${site("nessie")}/`, { waitUntil: "domcontentloaded" });
    expect(new URL(tab.url()).origin).toBe(site("nessie"));
    expect(await tab.title()).toBe("Nessie");
    await shows(tab, "main");
    const answer = await tab.goto(`${site("deployd")}/deployments`);
    expect(answer?.status()).toBe(200);
    expect(tab.url()).toBe(`${site("deployd")}/deployments`);
    expect(await answer?.json()).toBeDefined();
  });

  it("passes on what a browser sends: an upload, and a deletion", async ({ skip }) => {
    if (!browser) return skip();
    const tab = await ada.newPage();
    await tab.goto(`${site("flink")}/`, { waitUntil: "domcontentloaded" });
    // Flink looks at the name alone. More than a megabyte, where some proxies end.
    const uploaded = await tab.evaluate(async () => {
      const form = new FormData();
      form.append("jarfile", new File([new Uint8Array(5_000_000)], "empty.jar"), "empty.jar");
      const answer = await fetch("/jars/upload", { method: "POST", body: form });
      return (await answer.json()) as { status: string; filename: string };
    });
    expect(uploaded).toMatchObject({ status: "success", filename: expect.stringContaining("empty.jar") });
    const id = uploaded.filename.replace(/.*\//, "");
    const removed = await tab.evaluate(async (jar) => (await fetch(`/jars/${jar}`, { method: "DELETE" })).status, id);
    expect(removed).toBe(200);
  });

  it("refuses a user without the group", async ({ skip }) => {
    if (!browser) return skip();
    const eve = await newSession(browser);
    try {
      const tab = await eve.newPage();
      await tab.goto(`${site("flink")}/`, { waitUntil: "domcontentloaded" });
      await logIn(tab, "eve");
      await tab.waitForURL(`${site("flink")}/oauth2/callback**`);
      await shows(tab, "Forbidden");
      // The issuer still knows her, and the other pages refuse her as well.
      for (const host of hosts) expect((await tab.goto(`https://${host}/`))?.status()).toBe(403);
      expect(await eve.cookies(hosts.map((host) => `https://${host}/`))).not.toContainEqual(
        expect.objectContaining({ name: "_oauth2_proxy" }),
      );
    } finally {
      await eve.close();
    }
  });

  describe("the page at the domain", () => {
    let tab: Page;
    /** Name, state, login and how to get the password, of each page. */
    const rows = async () => {
      await tab.goto(`https://${domain}/`);
      await vi.waitFor(async () =>
        expect(await tab.locator("tbody td:nth-child(2)").allTextContents()).not.toContain("…"),
      );
      return Promise.all((await tab.locator("tbody tr").all()).map((row) => row.locator("td").allTextContents()));
    };
    const state = async (name: string) => (await rows()).find(([page]) => page === name)?.[1];

    beforeAll(async () => {
      if (browser) tab = await ada.newPage();
    });

    it("lists all pages with their state, and the command that prints a password", async ({ skip }) => {
      if (!browser) return skip();
      const credentials = (name: string) => `./platform credentials ${name} --stack dev`;
      expect(await rows()).toEqual([
        ["deployd", "answers", "the front door's", credentials("deployd")],
        ["flink", "answers", "the front door's", ""],
        ["minio", "answers", "its own", credentials("minio")],
        ["nessie", "answers", "the front door's", ""],
      ]);
      await picture(tab, "front-door");
      const [program = "", ...command] = credentials("minio").split(" ");
      expect(program).toBe("./platform");
      expect(await mustRun(command)).toContain((await secret("minio-admin", core))["root-password"]);
      await tab.getByRole("link", { name: "nessie" }).click();
      await tab.waitForURL(`${site("nessie")}/**`);
    });

    it("shows that a stopped server does not answer, until it does again", { timeout: 900_000 }, async ({ skip }) => {
      if (!browser) return skip();
      await scale("nessie", core, 0);
      try {
        await vi.waitFor(async () => expect(await podsOf("nessie", "server", core)).toEqual([]), patience);
        await vi.waitFor(async () => expect(await state("nessie")).toBe("does not answer"), patience);
        expect(await state("flink")).toBe("answers");
      } finally {
        await scale("nessie", core, 1);
      }
      await vi.waitFor(async () => expect(await state("nessie")).toBe("answers"), patience);
    });
  });

  it("forgets a session that is ended, and asks the issuer again", async ({ skip }) => {
    if (!browser) return skip();
    const tab = await ada.newPage();
    const asked: string[] = [];
    tab.on("request", (request) => request.isNavigationRequest() && asked.push(new URL(request.url()).origin));
    await tab.goto(`${site("flink")}/oauth2/sign_out`, { waitUntil: "domcontentloaded" });
    expect(asked).toContain(issuer.url);
  });

  it("restarts no login", async () => {
    for (const [name, namespace] of [["front-door", apps], ...Object.entries(closed)] as [string, string][]) {
      const [pod = ""] = await podsOf(name, "login", namespace);
      const { status } = (await get("Pod", pod, namespace)) ?? {};
      expect({ pod, restarts: status?.containerStatuses?.[0]?.restartCount }).toEqual({ pod, restarts: 0 });
    }
  });
});

interface Rule {
  http: { paths: { backend: { service: { name: string } } }[] };
}

const patience = { timeout: 240_000, interval: 1_000 };

/** Logs in at the issuer, on its own pages. */
async function logIn(tab: Page, who: keyof typeof people): Promise<void> {
  await tab.locator('input[name="login"]').fill(who);
  await tab.locator('input[name="password"]').fill("any");
  await tab.locator('button[type="submit"]').click();
  // Whether the pages may know who it is.
  await tab.getByRole("button", { name: "Continue" }).click();
}

/** What `kubectl scale` does. */
async function scale(name: string, namespace: string, replicas: number): Promise<void> {
  await kubeConfig()
    .makeApiClient(AppsV1Api)
    .replaceNamespacedDeploymentScale({ name, namespace, body: { metadata: { name, namespace }, spec: { replicas } } });
}
