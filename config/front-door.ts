import { z } from "zod";
import { block, cidr, image, objectName, pattern, resources, selectingLabels } from "./fields.ts";

/*
 * The keys of the front door: how people reach the platform's pages by host names. `global.domain` switches it on.
 */

const openPage = block({
  allowWithoutLogin: z
    .boolean({ error: "expected true or false" })
    .default(false)
    .describe(
      "Whether the page has a host although it has no login: anyone who reaches the front door may use it. Also with `frontDoor.login`.",
    ),
}).prefault({});

/** Pages without a login of their own, by the keys of their components. */
const openPages = {
  nessie: openPage,
  trino: openPage,
  flink: openPage,
  spark: openPage,
  noetl: openPage,
  prometheus: openPage,
  alertmanager: openPage,
  webApp: openPage,
  deployd: openPage,
};
/** oauth2-proxy, in front of pages without a login. */
const loginImage = "quay.io/oauth2-proxy/oauth2-proxy:v7.15.6";

/** A page that anyone may use who reaches it. */
export type OpenPage = keyof typeof openPages;

const annotations = z
  .record(z.string(), z.string({ error: "expected texts by the names of annotations" }), {
    error: "expected texts by the names of annotations",
  })
  .default({});

/** Configuration keys of the front door. */
export const frontDoor = block({
  routes: z
    .enum(["ingress", "httpRoute"], { error: "expected ingress or httpRoute" })
    .default("ingress")
    .describe(
      "Kind of the objects that route a host to its page: an Ingress each, or an HTTPRoute of Gateway API each.",
    ),
  className: objectName.optional().describe("Which controller the Ingresses are for. Default: the cluster's own."),
  annotations: annotations.describe(
    "Annotations of each Ingress or HTTPRoute, for the controller: a limit of uploads, for example.",
  ),
  gateway: block({
    name: objectName.describe("Name of the Gateway."),
    namespace: objectName.describe("Its namespace. It must accept routes of the stack's namespaces."),
    listener: objectName.default("https").describe("Its listener for HTTPS, which has the certificate."),
    httpListener: objectName.default("http").describe("Its listener for HTTP. Requests there are redirected to HTTPS."),
  })
    .optional()
    .describe("The Gateway of the routes, with `routes: httpRoute`. It exists already."),
  tls: block({
    existingSecret: objectName
      .optional()
      .describe("Name of a Secret with a certificate for all hosts, in each namespace that has pages."),
    issuer: block({
      name: objectName.describe("Name of the issuer."),
      kind: z
        .enum(["ClusterIssuer", "Issuer"], { error: "expected ClusterIssuer or Issuer" })
        .default("ClusterIssuer")
        .describe("Kind of the issuer. An Issuer must exist in each namespace that has pages."),
    })
      .optional()
      .describe(
        "cert-manager's issuer of a certificate for each host. Default on the embedded cluster: its own authority.",
      ),
  }).prefault({}),
  controller: block({
    namespaceLabels: selectingLabels.optional().describe("Labels of its namespace."),
    podLabels: selectingLabels.optional().describe("Labels of its pods. Default: all pods of that namespace."),
    cidr: cidr.optional().describe("Or its addresses, for one outside the cluster."),
  })
    .refine(({ namespaceLabels, cidr }) => (namespaceLabels === undefined) !== (cidr === undefined), {
      error: "expected either namespaceLabels or cidr",
    })
    .refine(({ podLabels, cidr }) => !(podLabels && cidr), { error: "expected no podLabels beside cidr" })
    .optional()
    .describe(
      "Where the controller's connections to the pages come from. With `global.networkPolicies` only these pass.",
    ),
  login: block({
    image: image(loginImage),
    issuer: z
      .url({ protocol: /^https?$/, error: "expected the URL of an OpenID Connect issuer" })
      .describe("URL of the OpenID Connect issuer, which pods and browsers reach."),
    existingSecret: objectName.describe(
      "Name of a Secret with the keys client-id and client-secret, the issuer's for the pages, in each namespace that has such pages.",
    ),
    caConfigMap: objectName
      .optional()
      .describe(
        "Name of a ConfigMap with the key ca.crt, in each namespace that has such pages: the certificates of a private authority that the issuer's is signed by. Default: those of the image.",
      ),
    groups: z
      .array(pattern(/^\S+$/, "a group's name"), { error: "expected a list of groups" })
      .default([])
      .describe("Groups of the issuer whose members may use the pages. Default: everyone whom it lets log in."),
    resources: resources({ cpu: "5m", memory: "32Mi", limit: "64Mi" }),
  })
    .superRefine(({ issuer, caConfigMap }, context) => {
      if (caConfigMap && !issuer.startsWith("https://"))
        context.addIssue({
          code: "custom",
          path: ["caConfigMap"],
          input: caConfigMap,
          message: "expected an https:// issuer beside it: no other one has a certificate",
        });
    })
    .optional()
    .describe("A login by OpenID Connect (oauth2-proxy) before each page that has none, which then has a host."),
  ...openPages,
}).prefault({});

/** The issuer on the embedded cluster: its own authority, local/cluster/go/kubernetes/authority. */
export const localIssuer = { kind: "ClusterIssuer", name: "local" } as const;

interface Checked {
  global: { domain?: string | undefined; cluster: string; networkPolicies: { enabled: boolean } };
  frontDoor: z.output<typeof frontDoor>;
}

/** Refuses a front door that is open to everyone, has no certificate, or has keys of the other kind of routes. */
export function checkFrontDoor({ global, frontDoor }: Checked, context: z.RefinementCtx): void {
  const { routes, className, gateway, tls, controller, login } = frontDoor;
  const refuse = (path: string, input: unknown, message: string) =>
    context.addIssue({ code: "custom", path: ["frontDoor", ...path.split(".")], input, message });
  if (!global.domain) {
    // Not the others: they are of use to an application that has a host of its own.
    const needed = "expected global.domain beside it: without one pages have no hosts";
    if (gateway) refuse("gateway", gateway.name, needed);
    if (login) refuse("login", login.issuer, needed);
    return;
  }
  const embedded = global.cluster === "embedded";
  if (tls.existingSecret && tls.issuer)
    refuse("tls.issuer", tls.issuer.name, "expected no issuer beside tls.existingSecret");
  if (routes === "ingress") {
    if (gateway) refuse("gateway", gateway.name, "expected no gateway beside frontDoor.routes: ingress");
    if (!embedded && !tls.existingSecret && !tls.issuer)
      refuse("tls", undefined, "expected existingSecret or issuer: every page of global.domain is behind HTTPS");
  } else {
    if (!gateway) refuse("gateway", undefined, "expected the Gateway's name and namespace");
    if (className) refuse("className", className, "expected no class beside frontDoor.routes: httpRoute");
    for (const [key, value] of Object.entries(tls))
      if (value) refuse(`tls.${key}`, value, "expected none: the Gateway's listener has the certificate");
  }
  // The embedded cluster's controller is a process of the node, which no policy can deny.
  if (global.networkPolicies.enabled && !embedded && !controller)
    refuse(
      "controller",
      undefined,
      "expected the labels of the controller's namespace, or its addresses: with global.networkPolicies only it may reach the pages",
    );
}
