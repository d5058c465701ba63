// Proves that every page of the test stack is reached by its host name over HTTPS, with a certificate of the cluster's own
// authority; that HTTP and the pages' own redirects lead to HTTPS; that a browser opens each, logs in to Airflow, Superset,
// Trino and MinIO there, and uploads and downloads a file; and that an expired certificate is renewed without a restart.
// Does not prove another controller than Traefik, Gateway API (69-gateway.test.ts does), nor that a browser trusts the authority.
// Exercises: every component.
import { randomBytes, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { buffer } from "node:stream/consumers";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { pidOf } from "../../local/cluster/daemons.ts";
import { ask, certificateOf, newSession, picture, shows, signed, visit } from "./front-door.ts";
import { address, domain, get, kube, mustRun, s3, secret, whole, wholeStack } from "./kit.ts";
import { openBrowser } from "./visitor.ts";

const stack = whole.core.replace(/-core$/, "");
const pages = ["airflow", "deployd", "flink", "minio", "nessie", "noetl", "polls", "prometheus"];
const hosts = [...pages, "spark", "superset", "trino", "web-app"].map((name) => `${name}.${domain}`);

/** The path to ask for. Prometheus' image from packages has no pages. */
const startOf = (host: string) => (host.startsWith("prometheus.") ? "/-/ready" : "/");

let browser: Browser | undefined;

beforeAll(async () => {
  await wholeStack();
  browser = await openBrowser();
});

afterAll(() => browser?.close());

it.each(hosts)("%s answers over HTTPS, also if asked over HTTP", async (host) => {
  // A certificate is signed a moment after its Ingress is created.
  await vi.waitFor(() => ask(`https://${host}/`), { timeout: 60_000, interval: 500 });
  const { urls, status } = await visit(`http://${host}${startOf(host)}`);
  expect(urls[1]).toBe(`https://${host}${startOf(host)}`);
  for (const url of urls.slice(1)) expect(url).toMatch(new RegExp(`^https://${host}/`));
  // NoETL and the web app have an API alone, and no page at their root.
  expect([200, 401, 403, 404]).toContain(status);
  expect(status !== 404 || /^(noetl|web-app|deployd)\./.test(host)).toBe(true);
});

it("prints the links", async () => {
  const printed = await mustRun(["status", "--stack", stack]);
  for (const host of hosts) expect(printed).toContain(`https://${host}`);
});

/** Runs `work` in a new session; nothing if no browser starts, which `openBrowser` reports. */
async function inTab(work: (tab: Page) => Promise<void>): Promise<void> {
  if (!browser) return;
  const session = await newSession(browser);
  try {
    await work(await session.newPage());
  } finally {
    await session.close();
  }
}

/** Of Airflow's form, and of Superset's. */
const field = (name: string) => `input[name="${name}"], [data-test="${name}-input"]`;

/** Logs in as the administrator, whose password the Secret has. */
const asAdmin = (secretName: string) => async (tab: Page) => {
  const { password = "" } = await secret(secretName, whole.apps);
  await tab.locator(field("username")).first().fill("admin");
  await tab.locator(field("password")).first().fill(password);
  await tab.locator('input[type="submit"], button[type="submit"]').first().click();
  await tab.waitForURL((url) => !url.pathname.includes("login"));
  expect(await tab.locator(field("password")).count()).toBe(0);
  // Of the session or token: by HTTPS alone.
  const cookies = await tab.context().cookies();
  expect(cookies.filter(({ name }) => /^(session|_token)$/.test(name)).every(({ secure }) => secure)).toBe(true);
};

/** Trino asks for a name, which it takes as it is. */
async function byName(tab: Page): Promise<void> {
  await tab.locator('input[name="username"]').fill("visitor");
  await tab.locator('button[type="submit"], input[type="submit"]').first().click();
  await tab.waitForURL((url) => !url.pathname.includes("login"));
}

interface Shown {
  title: RegExp;
  /** A text that is typical of the page. */
  text: string;
  logIn?: (tab: Page) => Promise<void>;
}

/** Beside MinIO's. NoETL, the web app and deployd have an API alone. */
const shown: Record<string, Shown> = {
  airflow: { logIn: asAdmin("airflow-admin"), title: /Airflow/, text: "Dags" },
  superset: { logIn: asAdmin("superset-admin"), title: /Superset/, text: "Dashboards" },
  trino: { logIn: byName, title: /Trino/, text: "Running queries" },
  flink: { title: /^Apache Flink Web Dashboard$/, text: "Available Task Slots" },
  spark: { title: /^Spark Master at spark:/, text: "Running Applications" },
  nessie: { title: /^Nessie$/, text: "main" },
  prometheus: { title: /^$/, text: "Prometheus Server is Ready." },
  polls: { title: /^Polls$/, text: "Polls" },
};

describe("a browser", () => {
  it.each(Object.entries(shown))("opens %s, and is led back from its login", async (name, { title, text, logIn }) => {
    const host = `${name}.${domain}`;
    await inTab(async (tab) => {
      // A page's text is what the test waits for, not its pictures and fonts, some of which are on the internet.
      await tab.goto(`https://${host}${startOf(host)}`, { waitUntil: "domcontentloaded" });
      await logIn?.(tab);
      await shows(tab, text);
      expect(new URL(tab.url()).origin).toBe(`https://${host}`);
      expect(await tab.title()).toMatch(title);
      await picture(tab, name);
    });
  });

  it("logs in to MinIO's console, uploads a file and downloads it", async () => {
    const admin = await secret("minio-admin", whole.core);
    const [user = "", password = ""] = [admin["root-user"], admin["root-password"]];
    // Not a text: bytes that a conversion of characters would change.
    const file = { name: "front-door.bin", mimeType: "application/octet-stream", buffer: randomBytes(100_000) };
    await inTab(async (tab) => {
      await tab.goto(`https://minio.${domain}/`);
      await tab.locator("#accessKey").fill(user);
      await tab.locator("#secretKey").fill(password);
      await tab.locator('button[type="submit"]').click();
      await tab.waitForURL("**/browser**");
      // A new browser is shown the licence first, above everything else.
      await tab.locator("#acknowledge-confirm").click();
      await tab.goto(`https://minio.${domain}/browser/warehouse`);
      await tab.locator('input[type="file"]').first().setInputFiles(file);
      await tab.getByText(file.name).first().waitFor();
      await picture(tab, "minio");
      await tab.goto(`https://minio.${domain}/browser/warehouse/${file.name}`);
      const downloaded = tab.waitForEvent("download");
      await tab.getByRole("button", { name: "Download" }).first().click();
      expect((await readFile(await (await downloaded).path())).equals(file.buffer)).toBe(true);
    });
    if (!browser) return;
    const client = await s3(user, password, await address("minio", whole.core));
    expect((await buffer(await client.getObject("warehouse", file.name))).equals(file.buffer)).toBe(true);
    await client.removeObject("warehouse", file.name);
  });
});

it("renews an expired certificate without a restart", async () => {
  const host = `superset.${domain}`;
  const before = [pidOf("traefik"), pidOf("authority")];
  const found = await get("Secret", "superset-tls", whole.apps);
  if (!found) throw new Error("there is no Secret superset-tls");
  const { certificate, key } = await signed(host, -90, -1);
  const base64 = (text: string) => Buffer.from(text).toString("base64");
  const data = { "tls.crt": base64(certificate), "tls.key": base64(key) };
  const { fingerprint256 } = new X509Certificate(certificate);
  await kube().replace(Object.assign(found, { data }));
  await vi.waitFor(
    async () => {
      const now = await certificateOf(host);
      expect(now.fingerprint256).not.toBe(fingerprint256);
      expect(Date.parse(now.valid_to)).toBeGreaterThan(Date.now());
      const renewed = await get("Secret", "superset-tls", whole.apps);
      expect(renewed).not.toMatchObject({ data });
    },
    { timeout: 180_000, interval: 500 },
  );
  expect((await visit(`https://${host}/`)).status).toBe(200);
  expect([pidOf("traefik"), pidOf("authority")]).toEqual(before);
});
