import { repositoryAddress } from "../../components/airflow/schema.ts";
import { least } from "../../components/flink/schema.ts";
import type { Definition } from "../../components/kit/definition.ts";
import {
  airflowPool,
  airflowPoolsOfApiServer,
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
  const images = pathsOf(schema, "", (key, path) => key === "image" || /\.exporters\.[a-z]+$/.test(path)).map(
    (path) => `{{- include "data-platform.checkImage" (list "${path}" $.Values.${path}) }}`,
  );
  const ingresses = ["$.Values.polls", "$.Values.webApp"].map(
    (app) => `{{- include "data-platform.checkIngress" (list "${app.replace("$.Values.", "")}" ${app}) }}`,
  );
  const namespaces = Object.keys(schema.properties?.namespaces?.properties ?? {}).map(
    (key) => `{{- include "data-platform.checkNamespace" (list "${key}" $.Values.namespaces.${key}) }}`,
  );
  return `${[own, ...needs, ...resources, ...images, ...ingresses, ...namespaces, apps, connections].join("\n")}\n`;
}

/** The paths of all keys of a kind that have a value of their own. */
const pathsOf = (schema: Schema, path: string, is: (key: string, path: string) => boolean): string[] =>
  Object.entries(schema.properties ?? {}).flatMap(([key, inner]) => {
    const inside = path ? `${path}.${key}` : key;
    if (inner.properties) return pathsOf(inner, inside, is);
    return is(key, inside) && !("fixed" in inner) ? [inside] : [];
  });

/** Applications by their names: each is checked as polls is. */
const apps = `{{- range $name, $app := $.Values.djangoApps }}
{{- if not (regexMatch "^[a-z]([a-z0-9-]{0,28}[a-z0-9])?$" $name) }}{{ fail (printf "djangoApps.%s: expected a name of at most 30 lower-case letters, digits and dashes that starts with a letter and ends with a letter or digit" $name) }}{{ end }}
{{- include "data-platform.checkImage" (list (printf "djangoApps.%s.image" $name) $app.image) }}
{{- include "data-platform.checkIngress" (list (printf "djangoApps.%s" $name) $app) }}
{{- include "data-platform.checkVariables" (list (printf "djangoApps.%s.env" $name) ($app.env | default dict)) }}
{{- include "data-platform.checkResources" (list (printf "djangoApps.%s.resources" $name) (mergeOverwrite (include "data-platform.appDefaults" nil | fromJson).resources (deepCopy ($app.resources | default dict)))) }}
{{- if not $.Values.postgresql.enabled }}{{ fail (printf "djangoApps.%s: expected postgresql.enabled: true beside it, since its data is there" $name) }}{{ end }}
{{- end }}
{{- if and $.Values.polls.enabled (not $.Values.postgresql.enabled) }}{{ fail "polls.enabled: found true; expected postgresql.enabled: true beside it, since its data is there; or polls.enabled: false" }}{{ end }}`;

const pool = airflowPool.size + airflowPool.overflow;

/** The connections that the pools of PostgreSQL's clients may hold at once: the same sum as in connections.ts. */
const connections = `{{- if $.Values.postgresql.enabled }}
{{- $sum := ${reserved} }}
{{- with $.Values.nessie }}{{ if .enabled }}{{ $sum = add $sum (mul .replicas ${nessiePool}) }}{{ end }}{{ end }}
{{- with $.Values.airflow }}{{ if .enabled }}{{ $sum = add $sum (mul .apiServer.replicas ${airflowPoolsOfApiServer * pool}) (mul .scheduler.replicas ${pool}) ${2 * (pool + 1)} .worker.replicas }}{{ end }}{{ end }}
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
{{- include "data-platform.checkVariables" (list "polls.env" $.Values.polls.env) }}
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
{{- range $.Values.deployd.repositories }}
{{- if and .token (not $.Values.deployd.tokensSecret) }}{{ fail (printf "deployd.repositories: %s: expected deployd.tokensSecret beside token, the Secret that has this key" .name) }}{{ end }}
{{- if and .token (not (hasPrefix "https://" .url)) }}{{ fail (printf "deployd.repositories: %s: expected an https URL beside token: over http, anyone on the network path could read the token" .name) }}{{ end }}
{{- if not (regexMatch "^https?://[^\\\\s@]+$" .url) }}{{ fail (printf "deployd.repositories: %s: expected an http or https URL without a user or password in it" .name) }}{{ end }}
{{- end }}`;
