import type * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import type { Config } from "../../config/schema.ts";
import type { Component } from "./component.ts";
import type { ConfigFiles } from "./config.ts";
import { deployment } from "./deployment.ts";
import type { Connects } from "./network.ts";
import { configFiles, drain, httpProbe, lenientLiveness } from "./pod.ts";
import { randomKey, TypedSecret } from "./secret.ts";
import { service } from "./service.ts";

/** Role of the pods of the login. */
export const loginRole = "login";
const port = 4180;
/** User and group `nonroot` of the official image. */
const user = 65532;
const folder = "/page";
const authorityFolder = "/authority";

/** What a login is in front of: a component's page, or files. */
export interface LoginArgs {
  login: NonNullable<Config["frontDoor"]["login"]>;
  /** Host name that people type. */
  host: string;
  /**
   * Where requests go on to: each with the path that it is for, which the server gets too. A path that ends with `/` is
   * for all below it as well.
   */
  upstreams: pulumi.Input<string>[];
  /** Files to serve for every other path. Default: none. */
  files?: ConfigFiles;
  connects?: Connects[];
  /** Paths, as a regular expression, that need no login. Default: none. */
  authenticated?: string | undefined;
  dependsOn?: pulumi.Resource[];
}

/**
 * oauth2-proxy in front of a page without a login: a request without a session is sent to the issuer, others go on to the
 * page. Returns its Service, with a port named `http`. Each page has a session of its own, so the login of one opens no
 * other; the issuer's session spares people a second password.
 */
export function loginProxy(component: Component, args: LoginArgs): k8s.core.v1.Service {
  const { login, connects = [], dependsOn = [] } = args;
  const client = TypedSecret.existing<"client-id" | "client-secret">(component, login.existingSecret, 1);
  // Never rotated: a new one logs everyone out.
  const session = TypedSecret.create(component, "login", () => ({
    "cookie-secret": randomKey(component, "login", 32),
  }));
  const { files } = args;
  const authority = login.caConfigMap;
  const upstreams = pulumi.all([...args.upstreams, ...(files ? [`file://${folder}/#/`] : [])]);
  const workload = deployment<string>(component, {
    suffix: loginRole,
    replicas: 1,
    upgrade: "surge",
    pod: {
      user,
      role: loginRole,
      isForeign: true,
      connects,
      outside: [{ what: "OpenID Connect issuer", url: login.issuer }],
      checksums: { session: session.revision, ...(files && { files: files.checksum }) },
      containers: {
        login: {
          image: component.image(login.image),
          command: ["/bin/oauth2-proxy"],
          args: options(args),
          env: {
            OAUTH2_PROXY_CLIENT_ID: client.key("client-id"),
            OAUTH2_PROXY_CLIENT_SECRET: client.key("client-secret"),
            OAUTH2_PROXY_COOKIE_SECRET: session.key("cookie-secret"),
            OAUTH2_PROXY_UPSTREAMS: upstreams.apply((all) => all.join()),
          },
          ports: { http: port },
          resources: login.resources,
          mounts: { ...(files && { [folder]: "files" }), ...(authority && { [authorityFolder]: "authority" }) },
          startup: httpProbe("/ping", "http", { every: 2, failures: 150 }),
          readiness: httpProbe("/ready", "http"),
          liveness: httpProbe("/ping", "http", lenientLiveness),
          preStop: drain,
        },
      },
      volumes: {
        ...(files && { files: configFiles(files.name) }),
        ...(authority && { authority: configFiles(authority) }),
      },
    },
    dependsOn,
  });
  return service(component, { suffix: loginRole, role: loginRole, ports: { http: port }, workload });
}

const options = ({ login: { issuer, caConfigMap, groups }, host, files, authenticated }: LoginArgs): string[] => [
  `--http-address=:${port}`,
  "--provider=oidc",
  `--oidc-issuer-url=${issuer}`,
  ...(caConfigMap ? [`--provider-ca-file=${authorityFolder}/ca.crt`] : []),
  `--redirect-url=https://${host}/oauth2/callback`,
  // A stolen code is of no use without the verifier. An issuer that does not know it leaves it out.
  "--code-challenge-method=S256",
  // Whom the issuer lets log in, or its groups, decide; not the domain of an address.
  "--email-domain=*",
  ...groups.map((group) => `--allowed-group=${group}`),
  ...(authenticated ? [`--skip-auth-route=${authenticated}`] : []),
  "--skip-provider-button=true",
  "--cookie-samesite=lax",
  // Beside files the upstreams are servers with hosts of their own, and some refuse another one's.
  ...(files ? ["--pass-host-header=false"] : []),
  // Not --reverse-proxy: with it a client that sends X-Forwarded-Uri chooses the path by which --skip-auth-route decides.
  "--silence-ping-logging=true",
];
