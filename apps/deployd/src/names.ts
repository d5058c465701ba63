/*
 * Kubernetes' rules for names. They are checked before a request: `..` or `v1#` in its path would make it another request.
 */

/** A DNS label of RFC 1123: the names of namespaces. */
export const dnsLabel = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const label = "[a-z0-9]([a-z0-9-]*[a-z0-9])?";
/** A DNS subdomain of RFC 1123: the names of most objects. */
export const subdomain = new RegExp(`^(?=.{1,253}$)${label}(\\.${label})*$`);
/** Roles and their bindings have colons and capital letters too. */
const roleName = /^(?!\.{1,2}$)[A-Za-z0-9:._-]{1,253}$/;
const version = /^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/;
const kindName = /^[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/;

/** What is wrong with an object's apiVersion, kind or name; undefined if nothing is. */
export function misnamed({ apiVersion, kind, name }: { apiVersion: string; kind: string; name: string }) {
  const [group, of = "", ...more] = apiVersion.includes("/") ? apiVersion.split("/") : [undefined, apiVersion];
  if (more.length > 0 || !version.test(of) || (group !== undefined && !subdomain.test(group)))
    return `found apiVersion ${quoted(apiVersion)}; expected one such as v1 or apps/v1`;
  if (!kindName.test(kind)) return `found kind ${quoted(kind)}; expected one such as Deployment`;
  const allowed = group === "rbac.authorization.k8s.io" ? roleName : subdomain;
  if (!allowed.test(name))
    return `found name ${quoted(name)}; expected lower-case letters, digits, dashes and dots, with a letter or digit at both ends, at most 253`;
  return undefined;
}

/** A value of any length and content, for a message. */
const quoted = (value: string): string => JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);
