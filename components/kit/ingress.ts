import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { derived, when, whenever } from "../../config/derived.ts";
import { localIssuer, type OpenPage } from "../../config/front-door.ts";
import type { Config } from "../../config/schema.ts";
import type { Component } from "./component.ts";
import { loginProxy, loginRole } from "./login.ts";

type ServiceType = "ClusterIP" | "NodePort" | "LoadBalancer";

/** Default Service type of an application, by the kind of the cluster. */
const defaults: Record<Config["global"]["cluster"], ServiceType> = {
  plain: "ClusterIP",
  kind: "NodePort",
  embedded: "NodePort",
  eks: "LoadBalancer",
  aks: "LoadBalancer",
  gke: "LoadBalancer",
};

/** Type of an application's Service: the configured one, or the default of the stack's kind of cluster. */
export const reachedBy = ({ namespace }: Component, { type }: { type?: ServiceType | undefined }): string =>
  serviceType(type ?? "", namespace.global.cluster);

const serviceType = derived(
  "serviceType",
  (type: string, cluster: string): string => type || defaults[cluster as keyof typeof defaults],
);

type Issuer = NonNullable<Config["frontDoor"]["tls"]["issuer"]>;

/** The front door of a stack with `global.domain`. */
export interface Door {
  domain: string;
  config: Config["frontDoor"];
  /** The issuer of certificates. Undefined: there is a Secret, or the Gateway has them. */
  issuer: Issuer | undefined;
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
}

/** The front door, if the stack has one. */
export function doorOf({ global, frontDoor }: Config): Door | undefined {
  if (!global.domain) return undefined;
  const { issuer, existingSecret } = frontDoor.tls;
  const local = global.cluster === "embedded" && !existingSecret ? localIssuer : undefined;
  return { domain: global.domain, config: frontDoor, issuer: issuer ?? local, links: [] };
}

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

/** The page's host name; undefined if it has none. Objects and settings that depend on it ask here alone. */
export function hostOf({ name, namespace: { door } }: Component, page: Page): string | undefined {
  if (page.own?.host) return page.own.host;
  if (!door || (isClosed(door, page) && !door.config.login)) return undefined;
  return `${name}.${door.domain}`;
}

/** Whether nobody may use the page without a login in front of it. An application's own host says that anyone may. */
const isClosed = ({ config }: Door, { withoutLogin, own }: Page): boolean =>
  withoutLogin !== undefined && !own?.host && !config[withoutLogin].allowWithoutLogin;

/** The page's address at the front door, without a slash at its end; undefined if it has no host there. */
export function urlOf(component: Component, page: Page): string | undefined {
  const host = hostOf(component, page);
  return host && `https://${host}`;
}

/** Routes the page's host to it, if it has one, or to a login in front of it. `service` has the page's port. */
export function expose(component: Component, served: Page, service: k8s.core.v1.Service): void {
  whenever(hostOf(component, served), (host) => exposeAt(component, served, service, host));
}

function exposeAt(component: Component, served: Page, service: k8s.core.v1.Service, host: string): void {
  const { door, network, global } = component.namespace;
  const login = door && isClosed(door, served) ? door.config.login : undefined;
  const closed = { host, authenticated: served.authenticated };
  const front = login ? loginProxy(component, { ...behind(component, served, service), ...closed, login }) : service;
  const whose = login ? "frontDoor" : served.withoutLogin ? "none" : "own";
  door?.links.push({ name: component.name, url: `https://${host}`, login: whose });
  const page: Page = login ? { ...served, role: loginRole, port: "http" } : served;
  const server = component.serves(page.role, [page.port ?? "http"]);
  const controller = door?.config.controller;
  // The embedded cluster's controller is a process of the node, whose connections no policy can deny.
  const policed = door !== undefined && (controller !== undefined || global.cluster === "embedded");
  network.open({ ...server, ...(policed ? { controller } : { exposedBy: "Ingress" }) });
  if (door?.config.routes === "httpRoute") httpRoutes(component, page, host, front, door.config);
  else ingress(component, page, host, front);
}

/** What a login in front of the page passes requests on to. */
function behind(component: Component, { role, port = "http" }: Page, service: k8s.core.v1.Service) {
  const number = service.spec.ports.apply((ports) => ports.find(({ name }) => name === port)?.port);
  return {
    upstream: pulumi.interpolate`http://${service.metadata.name}.${component.namespace.name}.svc:${number}/`,
    connects: [component.serves(role, [port])],
    dependsOn: [service],
  };
}

function ingress(component: Component, { own, ...page }: Page, host: string, front: k8s.core.v1.Service): void {
  const { door } = component.namespace;
  const className = own?.className ?? door?.config.className;
  const backend = { service: { name: front.metadata.name, port: { name: page.port ?? "http" } } };
  const issuer = own?.tlsSecret ? undefined : door?.issuer;
  const secretName =
    own?.tlsSecret ?? door?.config.tls.existingSecret ?? (issuer && `${component.named(page.suffix)}-tls`);
  new k8s.networking.v1.Ingress(
    component.named(page.suffix),
    {
      metadata: {
        ...component.metadata(page.suffix, page.role),
        annotations: {
          ...door?.config.annotations,
          ...(issuer && {
            [issuer.kind === "Issuer" ? "cert-manager.io/issuer" : "cert-manager.io/cluster-issuer"]: issuer.name,
          }),
          // Pulumi would wait for the address in the status, which not every controller writes.
          "pulumi.com/skipAwait": "true",
        },
      },
      spec: {
        ...(className && { ingressClassName: className }),
        ...when(secretName, (certificate) => ({ tls: [{ hosts: [host], secretName: certificate }] })),
        rules: [{ host, http: { paths: [{ path: "/", pathType: "Prefix", backend }] } }],
      },
    },
    component.child({ dependsOn: [front] }),
  );
}

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
        metadata: { ...component.metadata(suffix, page.role), annotations },
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
