import { generateKeyPairSync, webcrypto, X509Certificate } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import "reflect-metadata"; // required by @peculiar/x509
import * as x509 from "@peculiar/x509";
import writeFileAtomic from "write-file-atomic";
import {
  type Authority,
  authorityFile,
  certificateFile,
  type Identity,
  type IdentityName,
  identities,
  keyFile,
  serviceAccountKey,
} from "./pki.ts";

const day = 24 * 3600 * 1000;
const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

/** Creates certificates that are missing, expire within 30 days or have other names. Keeps the others, so that tokens stay valid. */
export async function ensureCertificates(): Promise<void> {
  for (const name of ["cluster", "front-proxy", "etcd", "front-door"] as const) await ensureAuthority(name);
  for (const [name, identity] of Object.entries(identities)) await ensureCertificate(name as IdentityName, identity);
  if (!existsSync(serviceAccountKey.public())) {
    const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    await save(serviceAccountKey.private(), privateKey.export({ type: "pkcs1", format: "pem" }));
    await save(serviceAccountKey.public(), publicKey.export({ type: "spki", format: "pem" }));
  }
}

async function ensureAuthority(name: Authority): Promise<void> {
  if (await lasts(authorityFile(name))) return;
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=data-platform-${name}`,
    keys,
    signingAlgorithm: algorithm,
    notBefore: new Date(Date.now() - day),
    notAfter: new Date(Date.now() + 3650 * day),
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  await savePair(authorityFile(name), authorityFile(name, "key"), certificate, keys.privateKey);
}

async function ensureCertificate(name: IdentityName, { by, user, group, serves = [] }: Identity): Promise<void> {
  const issuer = await readFile(authorityFile(by), "utf8");
  if (await lasts(certificateFile(name), issuer, { by, user, group, serves })) return;
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const issuerKey = x509.PemConverter.decodeFirst(await readFile(authorityFile(by, "key"), "utf8"));
  const signingKey = await webcrypto.subtle.importKey("pkcs8", issuerKey, algorithm, false, ["sign"]);
  const { clientAuth, serverAuth } = x509.ExtendedKeyUsage;
  const names = serves.map((value) => ({ type: /^[\d.]+$/.test(value) ? ("ip" as const) : ("dns" as const), value }));
  const certificate = await x509.X509CertificateGenerator.create({
    subject: [{ CN: [user] }, ...(group ? [{ O: [group] }] : [])],
    issuer: new x509.X509Certificate(issuer).subject,
    publicKey: keys.publicKey,
    signingKey,
    signingAlgorithm: algorithm,
    notBefore: new Date(Date.now() - day),
    notAfter: new Date(Date.now() + 730 * day),
    extensions: [
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      // etcd is also a client, of its own gateway.
      new x509.ExtendedKeyUsageExtension(names.length > 0 ? [clientAuth, serverAuth] : [clientAuth]),
      await x509.AuthorityKeyIdentifierExtension.create(new x509.X509Certificate(issuer)),
      ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : []),
    ],
  });
  await savePair(certificateFile(name), keyFile(name), certificate, keys.privateKey);
}

/** Whether a certificate exists, is valid for 30 more days, and has the issuer, subject and names that a new one would have. */
async function lasts(file: string, issuer?: string, identity?: Identity): Promise<boolean> {
  const pem = await readFile(file, "utf8").catch(() => undefined);
  if (pem === undefined) return false;
  const certificate = new X509Certificate(pem);
  if (Date.parse(certificate.validTo) < Date.now() + 30 * day) return false;
  if (!issuer || !identity) return true;
  const { user, group, serves = [] } = identity;
  const subject = certificate.subject.split("\n");
  const names = certificate.subjectAltName?.split(", ") ?? [];
  return (
    certificate.verify(new X509Certificate(issuer).publicKey) &&
    subject.includes(`CN=${user}`) &&
    (!group || subject.includes(`O=${group}`)) &&
    serves.every((name) => names.includes(`DNS:${name}`) || names.includes(`IP Address:${name}`))
  );
}

/** Writes the key first, so that a certificate that exists has its key. */
async function savePair(
  certFile: string,
  key: string,
  certificate: x509.X509Certificate,
  privateKey: webcrypto.CryptoKey,
) {
  const pkcs8 = await webcrypto.subtle.exportKey("pkcs8", privateKey);
  await save(key, `${x509.PemConverter.encode(pkcs8, x509.PemConverter.PrivateKeyTag)}\n`);
  await save(certFile, `${certificate.toString("pem")}\n`);
}

async function save(file: string, content: string | Buffer): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  await writeFileAtomic(file, content, { mode: 0o600 });
}
