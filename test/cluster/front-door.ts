import { webcrypto } from "node:crypto";
import { readFileSync } from "node:fs";
import { request as overHttp } from "node:http";
import { request as overHttps, type RequestOptions } from "node:https";
import { join } from "node:path";
import { connect, type DetailedPeerCertificate } from "node:tls";
import "reflect-metadata"; // required by @peculiar/x509
import * as x509 from "@peculiar/x509";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { authorityFile } from "../../local/cluster/pki.ts";

/*
 * Visits to pages at the front door, with a browser and without, and certificates of its authority.
 */

/** This process resolves no names below localhost, as browsers do. */
const lookup: RequestOptions["lookup"] = (_, options, done) =>
  options.all ? done(null, [{ address: "127.0.0.1", family: 4 }]) : done(null, "127.0.0.1", 4);

export interface Answer {
  status: number;
  location: string;
  body: string;
}

/** One request, whose answer may be a redirect. It trusts the front door's authority alone. */
export const ask = (url: string, { method = "GET", accept = "text/html" } = {}): Promise<Answer> =>
  new Promise((answered, failed) => {
    const secure = url.startsWith("https:");
    const options = { lookup, timeout: 30_000, method, headers: { accept } };
    const asked = secure
      ? overHttps(url, { ...options, ca: readFileSync(authorityFile("front-door")), agent: false })
      : overHttp(url, { ...options, agent: false });
    asked.on("response", (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text) => {
        body += text;
      });
      response.on("error", failed).on("end", () => {
        answered({ status: response.statusCode ?? 0, location: response.headers.location ?? "", body });
      });
    });
    asked.on("timeout", () => asked.destroy(new Error(`${url}: no answer`)));
    asked.on("error", failed).end();
  });

/** Follows redirects, as a browser does. Returns all addresses, and the last status. */
export async function visit(url: string): Promise<{ urls: string[]; status: number }> {
  const urls = [url];
  for (;;) {
    const { status, location } = await ask(urls.at(-1) ?? url);
    if (status < 300 || status > 399 || !location || urls.length > 8) return { urls, status };
    urls.push(new URL(location, urls.at(-1)).href);
  }
}

/** The certificate that the host has now, valid or not. */
export const certificateOf = (host: string): Promise<DetailedPeerCertificate> =>
  new Promise((found, failed) => {
    const socket = connect({ host: "127.0.0.1", port: 443, servername: host, rejectUnauthorized: false }, () => {
      found(socket.getPeerCertificate(true));
      socket.end();
    });
    socket.on("error", failed);
  });

/** A certificate of the authority, which is valid between these days from now, and its key. Both are PEM. */
export async function signed(host: string, from: number, until: number): Promise<{ certificate: string; key: string }> {
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const issuer = new x509.X509Certificate(readFileSync(authorityFile("front-door"), "utf8"));
  const pem = x509.PemConverter.decodeFirst(readFileSync(authorityFile("front-door", "key"), "utf8"));
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const day = 24 * 3600 * 1000;
  const certificate = await x509.X509CertificateGenerator.create({
    subject: "O=data-platform",
    issuer: issuer.subject,
    notBefore: new Date(Date.now() + from * day),
    notAfter: new Date(Date.now() + until * day),
    signingKey: await webcrypto.subtle.importKey("pkcs8", pem, algorithm, false, ["sign"]),
    publicKey: keys.publicKey,
    signingAlgorithm: algorithm,
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: "dns", value: host }])],
  });
  const key = await webcrypto.subtle.exportKey("pkcs8", keys.privateKey);
  return { certificate: certificate.toString("pem"), key: x509.PemConverter.encode(key, "PRIVATE KEY") };
}

/** A browser's session, of the size of the documentation's pictures. It trusts every certificate: `ask` checks them. */
export const newSession = (browser: Browser): Promise<BrowserContext> =>
  browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1280, height: 800 } });

/** Waits until the page shows a text that is typical of it. */
export const shows = (tab: Page, text: string): Promise<void> =>
  tab.getByText(text).filter({ visible: true }).first().waitFor({ timeout: 60_000 });

/** Writes a picture of the page into the folder that the environment variable `SCREENSHOTS` names; without it, none. */
export async function picture(tab: Page, name: string): Promise<void> {
  const folder = process.env.SCREENSHOTS;
  if (folder) await tab.screenshot({ path: join(folder, `${name}.jpg`), type: "jpeg", quality: 70 });
}
