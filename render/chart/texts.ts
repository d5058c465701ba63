import { type Schema, types } from "./values.ts";

/*
 * What people read of the chart: the notes after an install, and its page.
 */

export const notes = `The platform {{ .Release.Name }} is being started. Its pods wait for each other: the first start takes some minutes.

  kubectl get pods --all-namespaces --selector app.kubernetes.io/part-of=data-platform

Then the clients of each component show that it works:

  helm test {{ .Release.Name }} --namespace {{ .Release.Namespace }}

Passwords are in Secrets named after their component, such as that of PostgreSQL's superuser:

  kubectl get secret {{ .Values.postgresql.auth.existingSecret | default "postgresql-admin" }} --namespace {{ .Values.namespaces.core.name | default (printf "%s-core" .Release.Name) }} \\
    --output jsonpath='{.data.password}' | base64 --decode

{{ if .Values.global.protectData -}}
helm uninstall keeps volumes, Secrets and namespaces (global.protectData). An install with the same name finds them again.
{{- else -}}
helm uninstall deletes the volumes and all data in them (global.protectData: false).
{{- end }}
`;

export const readme = (
  schema: Schema,
): string => `<!-- Written by ./platform chart: change the program, not this file. -->
# Helm chart of the data platform

\`\`\`sh
helm install dev charts/data-platform --values charts/data-platform/values-dev.yaml --timeout 30m --wait
helm test dev
\`\`\`

The release's name is the stack's name: with it begin the namespaces, such as dev-core. How the chart is used, with Argo CD and Flux too, what it makes of Secrets, and what it
leaves out: [docs/helm.md](../../docs/helm.md). What each key means in full: [docs/configuration.md](../../docs/configuration.md).

| key | type | default | |
|---|---|---|---|
${rows(schema, "").join("\n")}
`;

const rows = (schema: Schema, path: string): string[] =>
  Object.entries(schema.properties ?? {}).flatMap(([key, inner]) => {
    if ("fixed" in inner) return [];
    const inside = path ? `${path}.${key}` : key;
    if (inner.section)
      return [
        `| \`${inside}\` | block | | ${inner.description} [Its keys](../../docs/configuration.md#${inner.section}) |`,
      ];
    if (inner.properties) return rows(inner, inside);
    const own = `| \`${inside}\` | ${typeOf(inner)} | ${inner.default === undefined ? "" : `\`${JSON.stringify(inner.default)}\``} | ${inner.description ?? ""} |`;
    const entries =
      typeof inner.additionalProperties === "object" && inner.additionalProperties.properties
        ? rows(inner.additionalProperties, `${inside}.<name>`)
        : [];
    return [own, ...entries, ...(inner.items?.properties ? rows(inner.items, `${inside}[]`) : [])];
  });

const typeOf = (schema: Schema): string => {
  if (schema.enum) return schema.enum.join(", ");
  if (schema.anyOf) return schema.anyOf.every(({ type }) => type === "string") ? "text" : "text or block";
  const [type = ""] = types(schema);
  const words: Record<string, string> = { string: "text", integer: "number", array: "list", object: "mapping" };
  return words[type] ?? type;
};
