import { repositoryAddress } from "../../components/airflow/schema.ts";
import { least } from "../../components/flink/schema.ts";
import type { Definition } from "../../components/kit/definition.ts";
import {
  airflowApiServer,
  airflowPool,
  djangoThreads,
  nessiePool,
  noetlPool,
  reserved,
  supersetTasks,
  supersetThreads,
} from "../../components/postgresql/connections.ts";
import { leastVolume } from "../../components/postgresql/schema.ts";
import { registry } from "../../components/registry.ts";
import { overhead, smallest } from "../../components/spark/schema.ts";
import { goPattern } from "./functions.ts";
import type { Schema } from "./values.ts";

/*
 * `templates/checks.yaml`: what holds between values, which a JSON schema cannot say. The sentences are those of the
 * stack's configuration.
 */

export function checks(schema: Schema): string {
  const charted = Object.entries(schema.properties ?? {}).flatMap(([key, block]) => ("fixed" in block ? [] : [key]));
  const needs = Object.entries<Definition>(registry)
    .filter(([key]) => charted.includes(key) && key !== "djangoApps")
    .flatMap(([key, of]) =>
      Object.entries(of.needs).map(([need, reason]) =>
        refusal(
          `and $.Values.${key}.enabled (not $.Values.${need}.enabled)`,
          `"${key}.enabled: found true; expected ${need}.enabled: true beside it, since ${reason}; or ${key}.enabled: false"`,
        ),
      ),
    );
  const resources = resourcesIn(schema, "").map(
    (path) => `{{- include "data-platform.checkResources" (list "${path}" $.Values.${path}) }}`,
  );
  const images = pathsOf(
    schema,
    "",
    (key, path) => key === "image" || /\.exporters\.(postgresql|redis|statsd|jmx)$/.test(path),
  ).map(([path]) => `{{- include "data-platform.checkImage" (list "${path}" $.Values.${path}) }}`);
  const pods = pathsOf(schema, "", (_, __, { whole }) => whole === true).map(
    ([path, { properties }]) =>
      `{{- include "data-platform.checkPods" (list "${path}" $.Values.${path} ${listed(properties?.labels?.taken)}) }}`,
  );
  const annotations = pathsOf(schema, "", (_, path) =>
    /(^|\.)(service\.annotations|serviceAnnotations)$/.test(path),
  ).map(([path]) => `{{- include "data-platform.checkKeys" (list "${path}" $.Values.${path} list) }}`);
  const accounts = pathsOf(schema, "", (key) => key === "serviceAccount").map(
    ([path]) => `{{- include "data-platform.checkAccount" (list "${path}" $.Values.${path}) }}`,
  );
  const variables = pathsOf(schema, "", (key) => key === "env").map(
    ([path, { taken }]) =>
      `{{- include "data-platform.checkVariables" (list "${path}" $.Values.${path} ${namesPattern(taken)}) }}`,
  );
  const settings = pathsOf(schema, "", (key) => key === "settings").flatMap(([path, { taken, form }]) => {
    if (!form) return [];
    const { name, example, reference, passwords } = form;
    const args = [namesPattern(taken), ...[name, reference, example, passwords].map((one) => JSON.stringify(one))].join(
      " ",
    );
    return [`{{- include "data-platform.checkSettings" (list "${path}" $.Values.${path} ${args}) }}`];
  });
  const references = [
    ...["settings", "coordinator.settings", "worker.settings"].map((key) =>
      refersToVariables(schema, "trino", key, /\$\{ENV:\w+\}/, "${ENV:"),
    ),
    refersToVariables(schema, "nessie", "settings", /\$\{[A-Z_][A-Z0-9_]*\}/, "${"),
  ];
  const app = schema.properties?.djangoApps?.additionalProperties;
  const ofApps = namesPattern(typeof app === "object" ? app.properties?.env?.taken : undefined);
  const ingresses = ["$.Values.polls", "$.Values.webApp"].map(
    (app) => `{{- include "data-platform.checkIngress" (list "${app.replace("$.Values.", "")}" ${app}) }}`,
  );
  const namespaces = Object.keys(schema.properties?.namespaces?.properties ?? {}).map(
    (key) => `{{- include "data-platform.checkNamespace" (list "${key}" $.Values.namespaces.${key}) }}`,
  );
  return `${[own, ...needs, ...resources, ...images, ...pods, ...annotations, ...accounts, ...variables, ...settings, ...references, ...ingresses, ...namespaces, apps(ofApps), connections].join("\n")}\n`;
}

/** The paths of all keys of a kind, with their schemas. A block of such a key is not looked into. */
const pathsOf = (
  schema: Schema,
  path: string,
  is: (key: string, path: string, schema: Schema) => boolean,
): [string, Schema][] =>
  Object.entries(schema.properties ?? {}).flatMap(([key, inner]): [string, Schema][] => {
    const inside = path ? `${path}.${key}` : key;
    if ("fixed" in inner) return [];
    if (is(key, inside, inner)) return [[inside, inner]];
    return inner.properties ? pathsOf(inner, inside, is) : [];
  });

/** A pattern for names, of which some stand for all that begin so. */
const namesPattern = (names: readonly string[] = []): string => {
  const all = names.map((name) => name.replaceAll(".", "\\.").replace(/\*$/, ".*"));
  // Without names none matches: they are not empty.
  return goPattern(names.length > 0 ? new RegExp(`^(${all.join("|")})$`) : /^$/);
};

/** The check of settings that refer to variables of the containers. Those of `envFrom` are unknown. */
const refersToVariables = (schema: Schema, component: string, key: string, pattern: RegExp, before: string): string => {
  const block = `$.Values.${component}`;
  const own = listed(schema.properties?.[component]?.properties?.env?.taken);
  const known = `(concat (keys ${block}.env) ${own})`;
  return `{{- if not ${block}.envFrom }}{{ include "data-platform.checkReferences" (list "${component}" "${component}.${key}" ${block}.${key} ${goPattern(pattern)} ${JSON.stringify(before)} ${known}) }}{{ end }}`;
};

/** Texts as a list of a Go template. */
const listed = (texts: readonly string[] = []): string =>
  texts.length > 0 ? `(list ${texts.map((one) => JSON.stringify(one)).join(" ")})` : "list";

/** Applications by their names: each is checked as polls is. `taken`: the variables that the platform sets. */
const apps = (taken: string) => `{{- range $name, $app := $.Values.djangoApps }}
{{- if not (regexMatch "^[a-z]([a-z0-9-]{0,28}[a-z0-9])?$" $name) }}{{ fail (printf "djangoApps.%s: expected a name of at most 30 lower-case letters, digits and dashes that starts with a letter and ends with a letter or digit" $name) }}{{ end }}
{{- include "data-platform.checkImage" (list (printf "djangoApps.%s.image" $name) $app.image) }}
{{- include "data-platform.checkIngress" (list (printf "djangoApps.%s" $name) $app) }}
{{- include "data-platform.checkVariables" (list (printf "djangoApps.%s.env" $name) ($app.env | default dict) ${taken}) }}
{{- include "data-platform.checkPods" (list (printf "djangoApps.%s.pods" $name) ($app.pods | default dict) list) }}
{{- include "data-platform.checkAccount" (list (printf "djangoApps.%s.serviceAccount" $name) ($app.serviceAccount | default dict)) }}
{{- include "data-platform.checkKeys" (list (printf "djangoApps.%s.service.annotations" $name) ($app.service | default dict).annotations list) }}
{{- include "data-platform.checkResources" (list (printf "djangoApps.%s.resources" $name) (mergeOverwrite (include "data-platform.appDefaults" nil | fromJson).resources (deepCopy ($app.resources | default dict)))) }}
{{- if not $.Values.postgresql.enabled }}{{ fail (printf "djangoApps.%s: expected postgresql.enabled: true beside it, since its data is there" $name) }}{{ end }}
{{- end }}
{{- if and $.Values.polls.enabled (not $.Values.postgresql.enabled) }}{{ fail "polls.enabled: found true; expected postgresql.enabled: true beside it, since its data is there; or polls.enabled: false" }}{{ end }}`;

const pool = airflowPool.size + airflowPool.overflow;

/** The connections that the pools of PostgreSQL's clients may hold at once: the same sum as in connections.ts. */
const connections = `{{- if $.Values.postgresql.enabled }}
{{- $sum := ${reserved} }}
{{- with $.Values.nessie }}{{ if .enabled }}{{ $sum = add $sum (mul .replicas ${nessiePool}) }}{{ end }}{{ end }}
{{- with $.Values.airflow }}{{ if .enabled }}{{ $sum = add $sum (mul .apiServer.replicas ${airflowApiServer}) (mul .scheduler.replicas ${pool}) ${2 * (pool + 1)} .worker.replicas }}{{ end }}{{ end }}
{{- with $.Values.superset }}{{ if .enabled }}{{ $sum = add $sum (mul .web.replicas .web.workers ${supersetThreads}) (mul .worker.replicas ${supersetTasks * 2}) }}{{ end }}{{ end }}
{{- if $.Values.noetl.enabled }}{{ $sum = add $sum ${noetlPool.server + noetlPool.background} }}{{ end }}
{{- with $.Values.polls }}{{ if .enabled }}{{ $sum = add $sum (mul .replicas .workers ${djangoThreads}) }}{{ end }}{{ end }}
{{- range $.Values.djangoApps }}{{ $sum = add $sum (mul (.replicas | default 1) (.workers | default 1) ${djangoThreads}) }}{{ end }}
{{- if $.Values.monitoring.enabled }}{{ $sum = add $sum 1 }}{{ end }}
{{- if lt (int64 $.Values.postgresql.maxConnections) (int64 $sum) }}
{{- fail (printf "postgresql.maxConnections: found %v; expected at least %v: so many its clients may hold at once, with ${reserved} for its superuser; or fewer servers or processes of those" $.Values.postgresql.maxConnections $sum) }}
{{- end }}
{{- end }}`;

const refusal = (condition: string, message: string): string => `{{- if ${condition} }}{{ fail ${message} }}{{ end }}`;

/** The paths of all blocks of requests and limits. */
const resourcesIn = (schema: Schema, path: string): string[] =>
  Object.entries(schema.properties ?? {}).flatMap(([key, inner]) => {
    const inside = path ? `${path}.${key}` : key;
    return inner.properties?.requests && inner.properties.limits ? [inside] : resourcesIn(inner, inside);
  });

const own = `{{- if and $.Values.secrets.create (not (include "data-platform.canLookUp" $)) }}
{{- fail "secrets.create: found true; expected false, since nothing can be looked up here and each render would have other passwords. Create the Secrets first: ./platform secrets --stack STACK --out DIR writes them" }}
{{- end }}
{{- if not (regexMatch "^[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?$" $.Release.Name) }}
{{- fail (printf "the release's name: found %s; expected at most 30 lower-case letters, digits and dashes, with a letter or digit at both ends" $.Release.Name) }}
{{- end }}
{{- if and $.Values.monitoring.enabled $.Values.monitoring.grafana.enabled (not $.Values.monitoring.prometheus.enabled) }}
{{- fail "monitoring.grafana.enabled: found true; expected monitoring.prometheus.enabled: true beside it, since Grafana reads from it; or monitoring.grafana.enabled: false" }}
{{- end }}
{{- include "data-platform.checkLeast" (list "postgresql.storage.size" $.Values.postgresql.storage.size "${leastVolume}") }}
${Object.entries(least)
  .map(
    ([role, size]) =>
      `{{- include "data-platform.checkLeast" (list "flink.${role}.resources.limits.memory" $.Values.flink.${role}.resources.limits.memory "${size}") }}`,
  )
  .join("\n")}
{{- include "data-platform.checkLeast" (list "spark.worker.memory" $.Values.spark.worker.memory "${smallest}Mi") }}
{{- $offered := div (include "data-platform.bytes" $.Values.spark.worker.memory | int64) 1048576 }}
{{- include "data-platform.checkLeast" (list "spark.worker.resources.limits.memory" $.Values.spark.worker.resources.limits.memory (printf "%vMi" (add $offered ${overhead}))) }}
{{- if and $.Values.airflow.dags.git $.Values.airflow.dags.configMap }}
{{- fail "airflow.dags.configMap: expected no ConfigMap beside dags.git: the DAGs have one source" }}
{{- end }}
{{- include "data-platform.checkSemanticVersion" (list "webApp.image" $.Values.webApp.image) }}
{{- include "data-platform.checkSemanticVersion" (list "webApp.redis.image" $.Values.webApp.redis.image) }}
{{- $names := list }}
{{- range $key, $namespace := $.Values.namespaces }}
{{- $name := $namespace.name | default (printf "%s-%s" $.Release.Name $key) }}
{{- if regexMatch "^(default|kube-.*)$" $name }}{{ fail (printf "namespaces.%s.name: found %s; expected a namespace of the platform's own, not one of Kubernetes itself" $key $name) }}{{ end }}
{{- if has $name $names }}{{ fail (printf "namespaces.%s.name: found %s; expected a name of its own" $key $name) }}{{ end }}
{{- $names = append $names $name }}
{{- end }}
{{- with $.Values.airflow.dags.git }}
{{- if not (regexMatch ${goPattern(repositoryAddress)} .repository) }}
{{- fail "airflow.dags.git.repository: expected a repository's address such as https://git.example.com/team/dags.git, without a user or password" }}
{{- end }}
{{- if not (or (include "data-platform.isHttp" (list .repository)) .existingSecret) }}
{{- fail "airflow.dags.git.existingSecret: expected a Secret with the keys ssh-privatekey and known_hosts beside an address of SSH" }}
{{- end }}
{{- end }}
{{- with $.Values.frontDoor.controller }}
{{- if eq (hasKey . "namespaceLabels") (hasKey . "cidr") }}{{ fail "frontDoor.controller: expected either namespaceLabels or cidr" }}{{ end }}
{{- if and (hasKey . "podLabels") (hasKey . "cidr") }}{{ fail "frontDoor.controller: expected no podLabels beside cidr" }}{{ end }}
{{- range $key, $labels := . }}{{ if not $labels }}{{ fail (printf "frontDoor.controller.%s: expected at least one label" $key) }}{{ end }}{{ end }}
{{- end }}
{{- if and (kindIs "map" $.Values.frontDoor.controller) (not $.Values.frontDoor.controller) }}{{ fail "frontDoor.controller: expected either namespaceLabels or cidr" }}{{ end }}
{{- if $.Values.global.domain }}
{{- $embedded := eq $.Values.global.cluster "embedded" }}
{{- $tls := $.Values.frontDoor.tls }}
{{- if and $tls.existingSecret $tls.issuer }}{{ fail (printf "frontDoor.tls.issuer: found %s; expected no issuer beside tls.existingSecret" $tls.issuer.name) }}{{ end }}
{{- if not (or $embedded $tls.existingSecret $tls.issuer) }}{{ fail "frontDoor.tls: expected existingSecret or issuer: every page of global.domain is behind HTTPS" }}{{ end }}
{{- if and $.Values.global.networkPolicies.enabled (not (or $embedded $.Values.frontDoor.controller)) }}{{ fail "frontDoor.controller: expected the labels of the controller's namespace, or its addresses: with global.networkPolicies only it may reach the pages" }}{{ end }}
{{- end }}
{{- range $index, $clients := $.Values.global.networkPolicies.allowFrom }}
{{- if not (or (hasKey $clients "namespaceLabels") (hasKey $clients "podLabels")) }}{{ fail (printf "global.networkPolicies.allowFrom[%d]: expected namespaceLabels, podLabels or both" $index) }}{{ end }}
{{- range $key, $labels := $clients }}{{ if not $labels }}{{ fail (printf "global.networkPolicies.allowFrom[%d].%s: expected at least one label" $index $key) }}{{ end }}{{ end }}
{{- end }}
{{- range $.Values.deployd.repositories }}
{{- if and .token (not $.Values.deployd.tokensSecret) }}{{ fail (printf "deployd.repositories: %s: expected deployd.tokensSecret beside token, the Secret that has this key" .name) }}{{ end }}
{{- if and .token (not (hasPrefix "https://" .url)) }}{{ fail (printf "deployd.repositories: %s: expected an https URL beside token: over http, anyone on the network path could read the token" .name) }}{{ end }}
{{- if not (regexMatch "^https?://[^\\\\s@]+$" .url) }}{{ fail (printf "deployd.repositories: %s: expected an http or https URL without a user or password in it" .name) }}{{ end }}
{{- end }}`;
