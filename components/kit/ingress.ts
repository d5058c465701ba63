import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { derived, either, given, missing, unless, when, whenever } from "../../config/derived.ts";
import { localIssuer, type OpenPage } from "../../config/front-door.ts";
import type { Config } from "../../config/schema.ts";
import type { Component } from "./component.ts";
import { loginProxy, loginRole } from "./login.ts";
import type { Connects } from "./network.ts";

type ServiceType = "ClusterIP" | "NodePort" | "LoadBalancer";

/** Default Service type of an application, by the kind of the cluster. */
const defaults: Record<Config["global"]["cluster"], ServiceType> = {
  plain: "ClusterIP",
  kind: "NodePort",
  embedded: "NodePort",
  eks: "LoadBalancer",
  aks: "LoadBalancer",
  gke: "LoadBalancer",
  // People come by Routes, which the cluster makes of Ingresses.
  openshift: "ClusterIP",
};

/** Type of an application's Service: the configured one, or the default of the stack's kind of cluster. */
export const reachedBy = ({ namespace }: Component, { type }: { type?: ServiceType | undefined }): string =>
  serviceType(type ?? "", namespace.global.cluster);

const serviceType = derived(
  "serviceType",
  (type: string, cluster: string): string => type || defaults[cluster as keyof typeof defaults],
);

type Issuer = Pick<NonNullable<Config["frontDoor"]["tls"]["issuer"]>, "kind" | "name">;

/** The front door of a stack with `global.domain`. */
export interface Door {
  domain: string;
  config: Config["frontDoor"];
  /** The pages so far, for the landing page. */
  links: Link[];
}

/** A page that has a host. */
export interface Link {
  /** Name of the component. */
  name: string;
  url: string;
  /** Whose login people meet there. */
  login: "own" | "frontDoor" | "none";
  /** Where its server is inside the cluster: `http://<service>.<namespace>.svc:<port>`. */
  server: pulumi.Output<string>;
  /** The connection to that server. */
  connects: Connects;
}

/** The front door, if the stack has one. */
export const doorOf = ({ global, frontDoor }: Config): Door | undefined =>
  global.domain ? { domain: global.domain, config: frontDoor, links: [] } : undefined;

/** A page that people open in a browser. */
export interface Page {
  /** Role of the pods that serve it. */
  role: string;
  /** Name of its port, of the Service and of the container. Default: `http`. */
  port?: string;
  /** Suffix of the objects' names. Default: none, the component's name. */
  suffix?: string;
  /** The configuration key that exposes it, for a page without a login of its own. Default: it has a login. */
  withoutLogin?: OpenPage;
  /** Paths, as a regular expression, whose requests the component authenticates itself: a login in front lets them pass. */
  authenticated?: string;
  /** The application's own host and certificate, which replace the front door's. Default: it has none. */
  own?: Config["polls"]["ingress"];
}

/** The page's host name; empty if it has none. Objects and settings that depend on it ask here alone. */
export function hostOf({ name, namespace: { door } }: Component, page: Page): string {
  const isShown = page.withoutLogin === undefined || door?.config[page.withoutLogin].allowWithoutLogin;
  return pageHost(page.own?.host ?? "", name, door?.domain ?? "", door?.config.login ? true : (isShown ?? false));
}

const pageHost = derived(
  "pageHost",
  (own: string, name: string, domain: string, isShown: boolean): string =>
    own || (domain && isShown ? `${name}.${domain}` : ""),
);

/** Whether nobody may use the page without a login in front of it. An application's own host says that anyone may. */
const isClosed = ({ config }: Door, { withoutLogin, own }: Page): boolean =>
  withoutLogin !== undefined && !own?.host && !config[withoutLogin].allowWithoutLogin;

/** The page's address at the front door, without a slash at its end; empty if it has no host there. */
export const urlOf = (component: Component, page: Page): string => pageUrl(hostOf(component, page));

const pageUrl = derived("pageUrl", (host: string): string => host && `https://${host}`);

/** Routes the page's host to it, if it has one, or to a login in front of it. `service` has the page's port. */
export function expose(component: Component, served: Page, service: k8s.core.v1.Service): void {
  whenever(hostOf(component, served), (host) => exposeAt(component, served, service, host));
}

function exposeAt(component: Component, served: Page, service: k8s.core.v1.Service, host: string): void {
  const { door, network, global } = component.namespace;
  const login = door && isClosed(door, served) ? door.config.login : undefined;
  const closed = { host, authenticated: served.authenticated };
  const { server: address, connects } = behind(component, served, service);
  const passed = { upstreams: [pulumi.interpolate`${address}/`], connects: [connects], dependsOn: [service] };
  const front = login ? loginProxy(component, { ...passed, ...closed, login }) : service;
  const whose = login ? "frontDoor" : served.withoutLogin ? "none" : "own";
  door?.links.push({ name: component.name, url: `https://${host}`, login: whose, server: address, connects });
  const page: Page = login ? { ...served, role: loginRole, port: "http" } : served;
  const server = component.serves(page.role, [page.port ?? "http"]);
  const { domain = "", config } = door ?? {};
  network.open(server);
  whenever(domain, () => whenever(config?.controller, (controller) => network.open({ ...server, controller })));
  unless(isPoliced(domain, given(config?.controller), global.cluster), () =>
    network.open({ ...server, exposedBy: "Ingress" }),
  );
  if (door?.config.routes === "httpRoute") httpRoutes(component, page, host, front, door.config);
  else ingress(component, page, host, front);
}

/** Whether policies name who reaches the pages. The embedded cluster's controller is a process of the node, whose connections no policy can deny. */
const isPoliced = derived(
  "isPoliced",
  (domain: string, hasController: boolean, cluster: string): boolean =>
    domain !== "" && (hasController || cluster === "embedded"),
);

/** The server of the page, inside the cluster. */
function behind(component: Component, { role, port = "http" }: Page, service: k8s.core.v1.Service) {
  const number = service.spec.ports.apply((ports) => ports.find(({ name }) => name === port)?.port);
  return {
    server: pulumi.interpolate`http://${service.metadata.name}.${component.namespace.name}.svc:${number}`,
    connects: component.serves(role, [port]),
  };
}

function ingress(component: Component, { own, ...page }: Page, host: string, front: k8s.core.v1.Service): void {
  const { door, global } = component.namespace;
  const { domain = "", config } = door ?? {};
  const { issuer, existingSecret } = config?.tls ?? {};
  const className = firstText(own?.className ?? "", domain, config?.className ?? "");
  const backend = { service: { name: front.metadata.name, port: { name: page.port ?? "http" } } };
  // By default, the embedded cluster's own authority signs.
  const isLocal = isSignedLocally(given(issuer), given(existingSecret), global.cluster);
  const signed = firstText(
    existingSecret ?? "",
    either(
      given(issuer),
      () => "issuer",
      () =>
        either(
          isLocal,
          () => "local",
          () => "",
        ),
    ),
    `${component.named(page.suffix)}-tls`,
  );
  const secretName = firstText(own?.tlsSecret ?? "", domain, signed);
  new k8s.networking.v1.Ingress(
    component.named(page.suffix),
    {
      metadata: {
        ...component.metadata(page.suffix, page.role),
        annotations: {
          ...when(domain, () => ({
            ...config?.annotations,
            ...when(missing(own?.tlsSecret), () => ({
              ...when(issuer, signedBy),
              ...when(isLocal, () => signedBy(localIssuer)),
            })),
          })),
          // Pulumi would wait for the address in the status, which not every controller writes.
          "pulumi.com/skipAwait": "true",
        },
      },
      spec: {
        ...when(className, (name) => ({ ingressClassName: name })),
        ...when(secretName, (certificate) => ({ tls: [{ hosts: [host], secretName: certificate }] })),
        rules: [{ host, http: { paths: [{ path: "/", pathType: "Prefix", backend }] } }],
      },
    },
    component.child({ dependsOn: [front] }),
  );
}

/** The first text, or the second if something is set beside it. */
const firstText = derived(
  "firstText",
  (first: string, set: string, second: string): string => first || (set && second),
);

const isSignedLocally = derived(
  "isSignedLocally",
  (hasIssuer: boolean, hasSecret: boolean, cluster: string): boolean =>
    !hasIssuer && !hasSecret && cluster === "embedded",
);

/** What cert-manager reads to make a certificate. */
const signedBy = ({ kind, name }: Issuer) => ({ [issuerAnnotation(kind)]: name });

const issuerAnnotation = derived("issuerAnnotation", (kind: string): string =>
  kind === "Issuer" ? "cert-manager.io/issuer" : "cert-manager.io/cluster-issuer",
);

/** The route of the page, and one that redirects HTTP to it. */
function httpRoutes(
  component: Component,
  page: Page,
  host: string,
  front: k8s.core.v1.Service,
  { gateway, annotations }: Config["frontDoor"],
): void {
  if (!gateway) throw new Error("frontDoor.routes is httpRoute, and there is no gateway");
  const route = (suffix: string | undefined, listener: string, rule: object) =>
    new k8s.apiextensions.CustomResource(
      component.named(suffix),
      {
        apiVersion: "gateway.networking.k8s.io/v1",
        kind: "HTTPRoute",
        metadata: {
          ...component.metadata(suffix, page.role),
          // The API server keeps no empty annotations: each `up` would see them as a change.
          ...(Object.keys(annotations).length > 0 && { annotations }),
        },
        spec: {
          parentRefs: [{ name: gateway.name, namespace: gateway.namespace, sectionName: listener }],
          hostnames: [host],
          rules: [rule],
        },
      },
      component.child({ dependsOn: [front] }),
    );
  const port = front.spec.ports.apply((ports) => ports.find(({ name }) => name === (page.port ?? "http"))?.port);
  route(page.suffix, gateway.listener, { backendRefs: [{ name: front.metadata.name, port }] });
  const redirect = { type: "RequestRedirect", requestRedirect: { scheme: "https", statusCode: 301 } };
  route(page.suffix ? `${page.suffix}-http` : "http", gateway.httpListener, { filters: [redirect] });
}
