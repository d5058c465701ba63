import { generateKeyPairSync, randomBytes, webcrypto } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server } from "node:https";
import { type AddressInfo, isIP } from "node:net";
import "reflect-metadata"; // required by @peculiar/x509
import * as x509 from "@peculiar/x509";
import Provider from "oidc-provider";

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const validity = { notBefore: new Date(Date.now() - 3_600_000), notAfter: new Date(Date.now() + 24 * 3_600_000) };

/** The certificate of a new private authority, and one that it signed for the host. PEM. */
async function certificates(host: string): Promise<{ authority: string; certificate: string; key: string }> {
  const ca = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const authority = await x509.X509CertificateGenerator.createSelfSigned({
    name: "CN=authority of the issuer",
    keys: ca,
    signingAlgorithm: algorithm,
    ...validity,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
    ],
  });
  const own = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const certificate = await x509.X509CertificateGenerator.create({
    subject: "CN=issuer",
    issuer: authority.subject,
    publicKey: own.publicKey,
    signingKey: ca.privateKey,
    signingAlgorithm: algorithm,
    ...validity,
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: isIP(host) ? "ip" : "dns", value: host }])],
  });
  const key = await webcrypto.subtle.exportKey("pkcs8", own.privateKey);
  return {
    authority: authority.toString("pem"),
    certificate: certificate.toString("pem"),
    key: x509.PemConverter.encode(key, x509.PemConverter.PrivateKeyTag),
  };
}

/** An OpenID Connect issuer for tests, behind HTTPS with a certificate of a private authority. */
export class Issuer {
  readonly clientId = "pages";
  readonly clientSecret = randomBytes(16).toString("hex");
  readonly url: string;
  /** The authority's certificate. */
  readonly authority: string;
  private readonly server: Server;

  private constructor(server: Server, url: string, authority: string) {
    this.server = server;
    this.url = url;
    this.authority = authority;
  }

  /**
   * `hosts` are those of the pages that may ask for a login; `people` are the users, each with its groups. Any password
   * will do. The library's own pages ask for it, and then whether the page may know who it is.
   */
  static async start(hosts: string[], people: Record<string, string[]>, address = "127.0.0.1"): Promise<Issuer> {
    const { authority, certificate, key } = await certificates(address);
    const server = createServer({ cert: certificate, key });
    server.listen(0, address);
    await once(server, "listening");
    const issuer = new Issuer(server, `https://${address}:${(server.address() as AddressInfo).port}`, authority);
    const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const provider = new Provider(issuer.url, {
      clients: [
        {
          client_id: issuer.clientId,
          client_secret: issuer.clientSecret,
          redirect_uris: hosts.map((host) => `https://${host}/oauth2/callback`),
        },
      ],
      jwks: { keys: [{ ...privateKey.export({ format: "jwk" }), use: "sig" }] },
      cookies: { keys: [randomBytes(16).toString("hex")] },
      claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"], groups: ["groups"] },
      findAccount: (_, id) =>
        people[id] && {
          accountId: id,
          claims: () => ({
            sub: id,
            name: id,
            email: `${id}@example.com`,
            email_verified: true,
            groups: people[id] ?? [],
          }),
        },
    });
    server.on("request", provider.callback());
    return issuer;
  }

  stop(): void {
    this.server.close();
    this.server.closeAllConnections();
  }
}
