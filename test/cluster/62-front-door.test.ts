// Proves that every page of the test stack is reached by its host name over HTTPS, with a certificate of the cluster's own
// authority; that HTTP and the pages' own redirects lead to HTTPS; that a browser logs in to Airflow, Superset and MinIO
// there, and uploads a file; and that an expired certificate is renewed without a restart.
// Does not prove another controller than Traefik, Gateway API, nor that a browser trusts the authority.
// Exercises: every component.
import { webcrypto, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { request as overHttp } from "node:http";
import { request as overHttps, type RequestOptions } from "node:https";
import { connect, type DetailedPeerCertificate } from "node:tls";
import "reflect-metadata"; // required by @peculiar/x509
import * as x509 from "@peculiar/x509";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { pidOf } from "../../local/cluster/daemons.ts";
import { authorityFile } from "../../local/cluster/pki.ts";
import { address, domain, get, kube, mustRun, read, s3, secret, whole, wholeStack } from "./kit.ts";
import { openBrowser } from "./visitor.ts";

const stack = whole.core.replace(/-core$/, "");
const pages = ["airflow", "deployd", "flink", "minio", "nessie", "noetl", "polls", "prometheus"];
const hosts = [...pages, "spark", "superset", "trino", "web-app"].map((name) => `${name}.${domain}`);

/** This process resolves no names below localhost, as browsers do. */
const lookup: RequestOptions["lookup"] = (_, options, done) =>
  options.all ? done(null, [{ address: "127.0.0.1", family: 4 }]) : done(null, "127.0.0.1", 4);

interface Answer {
  status: number;
  location: string;
}

const ask = (url: string): Promise<Answer> =>
  new Promise((answered, failed) => {
    const secure = url.startsWith("https:");
    const options = { lookup, timeout: 30_000, headers: { accept: "text/html" } };
    const asked = secure
      ? overHttps(url, { ...options, ca: readFileSync(authorityFile("front-door")), agent: false })
      : overHttp(url, { ...options, agent: false });
    asked.on("response", (response) => {
      response.resume();
      answered({ status: response.statusCode ?? 0, location: response.headers.location ?? "" });
    });
    asked.on("timeout", () => asked.destroy(new Error(`${url}: no answer`)));
    asked.on("error", failed).end();
  });

/** The path to ask for. Prometheus' image from packages has no pages. */
const startOf = (host: string) => (host.startsWith("prometheus.") ? "/-/ready" : "/");

/** Follows redirects, as a browser does. Returns all addresses, and the last status. */
async function visit(url: string): Promise<{ urls: string[]; status: number }> {
  const urls = [url];
  for (;;) {
    const { status, location } = await ask(urls.at(-1) ?? url);
    if (status < 300 || status > 399 || !location || urls.length > 8) return { urls, status };
    urls.push(new URL(location, urls.at(-1)).href);
  }
}

/** The certificate that the host has now, valid or not. */
const certificateOf = (host: string): Promise<DetailedPeerCertificate> =>
  new Promise((found, failed) => {
    const socket = connect({ host: "127.0.0.1", port: 443, servername: host, rejectUnauthorized: false }, () => {
      found(socket.getPeerCertificate(true));
      socket.end();
    });
    socket.on("error", failed);
  });

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

/** Runs `work` in a new tab; nothing if no browser starts, which `openBrowser` reports. */
async function inTab(work: (tab: Page) => Promise<void>): Promise<void> {
  if (!browser) return;
  const tab = await browser.newPage({ ignoreHTTPSErrors: true });
  try {
    await work(tab);
  } finally {
    await tab.close();
  }
}

/** Of Airflow's form, and of Superset's. */
const field = (name: string) => `input[name="${name}"], [data-test="${name}-input"]`;

describe("a browser", () => {
  it.each([
    ["airflow", "airflow-admin"],
    ["superset", "superset-admin"],
  ])("logs in to %s and is led back", async (name, secretName) => {
    const { password = "" } = await secret(secretName, whole.apps);
    await inTab(async (tab) => {
      await tab.goto(`https://${name}.${domain}/`);
      await tab.locator(field("username")).first().fill("admin");
      await tab.locator(field("password")).first().fill(password);
      await tab.locator('input[type="submit"], button[type="submit"]').first().click();
      await tab.waitForURL((url) => !url.pathname.includes("login"));
      expect(new URL(tab.url()).origin).toBe(`https://${name}.${domain}`);
      expect(await tab.locator(field("password")).count()).toBe(0);
      // Of the session or token: by HTTPS alone.
      const cookies = await tab.context().cookies();
      expect(cookies.filter(({ name }) => /^(session|_token)$/.test(name)).every(({ secure }) => secure)).toBe(true);
    });
  });

  it("logs in to MinIO's console and uploads a file", async () => {
    const admin = await secret("minio-admin", whole.core);
    const [user = "", password = ""] = [admin["root-user"], admin["root-password"]];
    await inTab(async (tab) => {
      await tab.goto(`https://minio.${domain}/`);
      await tab.locator("#accessKey").fill(user);
      await tab.locator("#secretKey").fill(password);
      await tab.locator('button[type="submit"]').click();
      await tab.waitForURL("**/browser**");
      await tab.goto(`https://minio.${domain}/browser/warehouse`);
      const file = { name: "front-door.txt", mimeType: "text/plain", buffer: Buffer.from("by the front door") };
      await tab.locator('input[type="file"]').first().setInputFiles(file);
      await tab.getByText("front-door.txt").first().waitFor();
    });
    if (!browser) return;
    const client = await s3(user, password, await address("minio", whole.core));
    expect(await read(client, "warehouse", "front-door.txt")).toBe("by the front door");
    await client.removeObject("warehouse", "front-door.txt");
  });
});

/** A certificate of the authority that expired yesterday. */
async function expired(host: string): Promise<{ certificate: string; key: string }> {
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const issuer = new x509.X509Certificate(readFileSync(authorityFile("front-door"), "utf8"));
  const pem = x509.PemConverter.decodeFirst(readFileSync(authorityFile("front-door", "key"), "utf8"));
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const day = 24 * 3600 * 1000;
  const certificate = await x509.X509CertificateGenerator.create({
    subject: "O=data-platform",
    issuer: issuer.subject,
    notBefore: new Date(Date.now() - 90 * day),
    notAfter: new Date(Date.now() - day),
    signingKey: await webcrypto.subtle.importKey("pkcs8", pem, algorithm, false, ["sign"]),
    publicKey: keys.publicKey,
    signingAlgorithm: algorithm,
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: "dns", value: host }])],
  });
  const key = await webcrypto.subtle.exportKey("pkcs8", keys.privateKey);
  return { certificate: certificate.toString("pem"), key: x509.PemConverter.encode(key, "PRIVATE KEY") };
}

it("renews an expired certificate without a restart", async () => {
  const host = `superset.${domain}`;
  const before = [pidOf("traefik"), pidOf("authority")];
  const found = await get("Secret", "superset-tls", whole.apps);
  if (!found) throw new Error("there is no Secret superset-tls");
  const { certificate, key } = await expired(host);
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
