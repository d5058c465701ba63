import { semanticVersion } from "../../components/web-app/schema.ts";
import { qualifiedName, reservedKey, secretVariable } from "../../config/fields.ts";
import { imageForms } from "../../config/images.ts";
import { passwordInside, secretSetting } from "../../config/settings.ts";

/** A regular expression as a text of a Go template. */
export const goPattern = ({ source, flags }: RegExp): string =>
  JSON.stringify(flags.includes("i") ? `(?i)${source}` : source);

/** Functions whose result is a number. */
export const numeric: ReadonlySet<string> = new Set([
  "mebibytesOf",
  "mebibytesPart",
  "bytesOf",
  "percentage",
  "mostLog",
  "leastLog",
  "lastOrdinal",
  "atMostThree",
  "oneLess",
  "secondsAfter",
  "product",
  "portOfUrl",
  "numberOf",
]);
/** Functions whose result may have several lines. */
export const manyLines: ReadonlySet<string> = new Set(["repositoryLines", "withSettings"]);
/** Functions whose result is true or false: text, or none. */
export const truths: ReadonlySet<string> = new Set([
  "several",
  "isAsgi",
  "isText",
  "isNodePort",
  "isHttp",
  "choosesUsers",
  "isEmbedded",
  "isExposed",
  "isPoliced",
  "isSignedLocally",
  "namesIds",
]);

/**
 * The functions of the model that are `derived`, as templates: same name, arguments in a list, result as text. The
 * tests compare each with the function it stands for.
 */
export const functions = `{{/* The tag of an image reference. */}}
{{- define "data-platform.tagOf" -}}
{{- $name := splitList "/" (regexReplaceAll "@.*$" (index . 0) "") | last -}}
{{- if contains ":" $name }}{{ regexReplaceAll "^[^:]*:" $name "" }}{{ end -}}
{{- end }}

{{/* An image reference, with a mirror's prefix in place of its registry if there is one. */}}
{{- define "data-platform.mirrored" -}}
{{- $reference := index . 0 -}}
{{- if not (index . 1) }}{{ $reference }}{{ else -}}
{{- $first := splitList "/" $reference | first -}}
{{- $named := and (contains "/" $reference) (regexMatch "[.:]|^localhost$" $first) -}}
{{- $path := $named | ternary (trimPrefix (printf "%s/" $first) $reference) $reference -}}
{{- if and (or (not $named) (eq $first "docker.io")) (not (contains "/" $path)) }}{{ $path = printf "library/%s" $path }}{{ end -}}
{{- printf "%s/%s" (index . 1) $path -}}
{{- end -}}
{{- end }}

{{/* A text as a label's value. */}}
{{- define "data-platform.labelValue" -}}
{{- regexReplaceAll "[^A-Za-z0-9]+$" (regexReplaceAll "^[^A-Za-z0-9]+" (index . 0) "" | trunc 63) "" -}}
{{- end }}

{{/* Whether there is more than one replica. */}}
{{- define "data-platform.several" -}}
{{- if gt (int64 (index . 0)) 1 }}true{{ end -}}
{{- end }}

{{/* Short hash of a text. */}}
{{- define "data-platform.hash" -}}
{{- index . 0 | sha256sum | trunc 8 -}}
{{- end }}

{{/* The hash of the files of a ConfigMap: of their JSON, with the keys in the order of the program. */}}
{{- define "data-platform.checksumOf" -}}
{{- $data := index . 0 | fromYaml -}}
{{- $fields := list -}}
{{- range $key := rest . -}}
{{- if hasKey $data $key }}{{ $fields = append $fields (printf "%s:%s" ($key | toRawJson) (index $data $key | toRawJson)) }}{{ end -}}
{{- end -}}
{{- include "data-platform.hash" (list (printf "{%s}" (join "," $fields))) -}}
{{- end }}

{{/* A CPU quantity in thousandths of a CPU. */}}
{{- define "data-platform.millicores" -}}
{{- if hasSuffix "m" . }}{{ trimSuffix "m" . }}{{ else -}}
{{- $fraction := "000" -}}
{{- if contains "." . }}{{ $fraction = printf "%s000" (splitList "." . | last) | trunc 3 }}{{ end -}}
{{- add (mul (splitList "." . | first | int64) 1000) (sub (printf "1%s" $fraction | int64) 1000) -}}
{{- end -}}
{{- end }}

{{/* The smaller of two CPU quantities. */}}
{{- define "data-platform.smallerCpu" -}}
{{- gt (include "data-platform.millicores" (index . 0) | int64) (include "data-platform.millicores" (index . 1) | int64) | ternary (index . 1) (index . 0) -}}
{{- end }}

{{/* Changes with the values of a Secret. */}}
{{- define "data-platform.revisionOf" -}}
{{- printf "%s %s" (index . 0) (index . 1) | sha256sum | trunc 16 -}}
{{- end }}

{{/* A quantity in bytes. values.schema.json has at most three decimals, so that 64 bits are enough. */}}
{{- define "data-platform.bytes" -}}
{{- $number := regexFind "^[0-9.]+" . -}}
{{- $units := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- if not (hasKey $units (trimPrefix $number .)) }}{{ fail (printf "found %s; expected a size such as 512Mi, 1.5Gi or 2G" .) }}{{ end -}}
{{- $unit := index $units (trimPrefix $number .) | int64 -}}
{{- $whole := splitList "." $number | first -}}
{{- $thousandths := 0 -}}
{{- if contains "." $number }}{{ $thousandths = sub (printf "1%s000" (splitList "." $number | last) | trunc 4 | int64) 1000 }}{{ end -}}
{{- add (mul (int64 $whole) $unit) (div (add (mul $thousandths $unit) 999) 1000) -}}
{{- end }}

{{/* A part of a size in whole mebibytes. */}}
{{- define "data-platform.mebibytesPart" -}}
{{- div (include "data-platform.bytes" (index . 0) | int64) (mul 1048576 (int64 (index . 1))) -}}
{{- end }}

{{/* A limit with room for a scratch volume, unless that is too small to count. */}}
{{- define "data-platform.withScratch" -}}
{{- $size := include "data-platform.bytes" (index . 1) | int64 -}}
{{- if gt $size 16777216 -}}
{{- div (add (include "data-platform.bytes" (index . 0) | int64) $size) 1048576 }}Mi
{{- else }}{{ index . 0 }}{{ end -}}
{{- end }}

{{/* A percentage of a size in bytes, computed so that 64 bits are enough. */}}
{{- define "data-platform.bytesOf" -}}
{{- $bytes := include "data-platform.bytes" (index . 0) | int64 -}}
{{- $percent := index . 1 | int64 -}}
{{- add (mul (div $bytes 100) $percent) (div (mul (mod $bytes 100) $percent) 100) -}}
{{- end }}

{{/* A percentage of a whole number. */}}
{{- define "data-platform.percentage" -}}
{{- div (mul (index . 0 | int64) (index . 1 | int64)) 100 -}}
{{- end }}

{{/* The last number of a workload's replicas. */}}
{{- define "data-platform.lastOrdinal" -}}
{{- sub (index . 0) 1 -}}
{{- end }}

{{/* A number, but at most three. */}}
{{- define "data-platform.atMostThree" -}}
{{- min (index . 0) 3 -}}
{{- end }}

{{/* One less, but at least one. */}}
{{- define "data-platform.oneLess" -}}
{{- max 1 (sub (index . 0) 1) -}}
{{- end }}

{{/* Sizes of PostgreSQL's log on a volume, in mebibytes. */}}
{{- define "data-platform.mostLog" -}}
{{- min 1024 (div (div (include "data-platform.bytes" (index . 0) | int64) 1048576) 8) -}}
{{- end }}
{{- define "data-platform.leastLog" -}}
{{- min 80 (div (include "data-platform.mostLog" . | int64) 2) -}}
{{- end }}

{{/* Where an image of PostgreSQL has its programs and its data. */}}
{{- define "data-platform.postgresqlLayout" -}}
{{- $major := regexFind "^[0-9]+" (include "data-platform.tagOf" .) -}}
{{- if not (has $major (list "16" "17" "18")) }}{{ fail (printf "postgresql.image: found %s; expected a tag that starts with the major version, 16 to 18" (index . 0)) }}{{ end -}}
{{- $new := eq $major "18" -}}
{{- if eq (index . 1) "bin" }}/usr/lib/postgresql/{{ $major }}/bin
{{- else if eq (index . 1) "mount" }}{{ $new | ternary "/var/lib/postgresql" "/var/lib/postgresql/data" }}
{{- else }}{{ $new | ternary (printf "/var/lib/postgresql/%s/docker" $major) "/var/lib/postgresql/data/pgdata" }}
{{- end -}}
{{- end }}

{{- define "data-platform.isAsgi" -}}
{{- if eq (index . 0) "asgi" }}true{{ end -}}
{{- end }}
{{- define "data-platform.isNodePort" -}}
{{- if eq (index . 0) "NodePort" }}true{{ end -}}
{{- end }}
{{- define "data-platform.choosesUsers" -}}
{{- if eq (index . 0) "openshift" }}true{{ end -}}
{{- end }}
{{- define "data-platform.isHttp" -}}
{{- if regexMatch "^https?:" (index . 0) }}true{{ end -}}
{{- end }}
{{- define "data-platform.isText" -}}
{{- if kindIs "string" (index . 0) }}true{{ end -}}
{{- end }}

{{/* The ends of a path, the shortest first. */}}
{{- define "data-platform.endsOf" -}}
{{- $end := "" -}}
{{- $ends := list -}}
{{- range $folder := splitList "/" (index . 0) | reverse -}}
{{- if $end }}{{ $end = printf "%s/%s" $folder $end }}{{ else }}{{ $end = $folder }}{{ end -}}
{{- $ends = append $ends $end -}}
{{- end -}}
{{- join " " $ends -}}
{{- end }}

{{/* The repositories of deployd's configuration, a line of JSON for each. */}}
{{- define "data-platform.repositoryLines" -}}
{{- $namespace := index . 1 -}}
{{- range index . 0 -}}
{{- $defaults := include "data-platform.repositoryDefaults" nil | fromJson -}}
{{- printf "  - %s\\n" (mergeOverwrite $defaults . (dict "namespace" $namespace) | toRawJson) -}}
{{- end -}}
{{- end }}

{{/* Grafana's identity of a dashboard: at most 40 characters. */}}
{{- define "data-platform.dashboardUid" -}}
{{- $name := index . 0 -}}
{{- if le (len $name) 40 }}{{ $name }}{{ else }}{{ printf "%s-%s" (trunc 31 $name) (include "data-platform.hash" .) }}{{ end -}}
{{- end }}

{{/* Refuses limits below their requests. */}}
{{- define "data-platform.checkResources" -}}
{{- $path := index . 0 -}}
{{- $requests := (index . 1).requests -}}
{{- $limits := (index . 1).limits -}}
{{- if lt (include "data-platform.bytes" $limits.memory | int64) (include "data-platform.bytes" $requests.memory | int64) -}}
{{- fail (printf "%s.limits.memory: found %s; expected at least resources.requests.memory, which is %s" $path $limits.memory $requests.memory) -}}
{{- end -}}
{{- if $limits.cpu -}}
{{- if lt (include "data-platform.millicores" $limits.cpu | int64) (include "data-platform.millicores" $requests.cpu | int64) -}}
{{- fail (printf "%s.limits.cpu: found %s; expected at least resources.requests.cpu, which is %s" $path $limits.cpu $requests.cpu) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Refuses a size below another. */}}
{{- define "data-platform.checkLeast" -}}
{{- if lt (include "data-platform.bytes" (index . 1) | int64) (include "data-platform.bytes" (index . 2) | int64) -}}
{{- fail (printf "%s: found %s; expected at least %s" (index . 0) (index . 1) (index . 2)) -}}
{{- end -}}
{{- end }}

{{/* Refuses an image without a fixed version: neither a digest nor a tag that stays what it is. */}}
{{- define "data-platform.checkImage" -}}
{{- $path := index . 0 -}}
{{- $image := index . 1 -}}
{{- $tag := include "data-platform.tagOf" (list $image) -}}
{{- if not (regexMatch ${goPattern(imageForms.reference)} $image) }}{{ fail (printf "%s: found %s; expected an image with a version or a commit as its tag, or a digest" $path $image) }}{{ end -}}
{{- if not (contains "@sha256:" $image) -}}
{{- if not $tag }}{{ fail (printf "%s: found %s; expected an image with a version or a commit as its tag, or a digest: without a tag it means latest" $path $image) }}{{ end -}}
{{- $day := regexMatch "(^|[._-])20[0-9]{2}[.-]?(0[1-9]|1[0-2])[.-]?(0[1-9]|[12][0-9]|3[01])" $tag -}}
{{- $version := and (regexMatch ${goPattern(imageForms.version)} $tag) (not (regexMatch ${goPattern(imageForms.moving)} $tag)) -}}
{{- if not (or $day $version (regexMatch ${goPattern(imageForms.commit)} $tag)) }}{{ fail (printf "%s: found %s; expected an image with a version or a commit as its tag, or a digest: a tag that moves is refused" $path $image) }}{{ end -}}
{{- end -}}
{{- end }}

{{/* Refuses a smaller volume than the one that exists: namespace, name, size, key. */}}
{{- define "data-platform.checkVolume" -}}
{{- with lookup "v1" "PersistentVolumeClaim" (index . 0) (index . 1) -}}
{{- $before := .spec.resources.requests.storage -}}
{{- if lt (include "data-platform.bytes" (index $ 2) | int64) (include "data-platform.bytes" $before | int64) -}}
{{- fail (printf "%s: found %s; expected at least %s, the size of the volume that exists: volumes never shrink" (index $ 3) (index $ 2) $before) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Refuses another number of replicas than the one that exists: namespace, name, number, key. */}}
{{- define "data-platform.checkReplicas" -}}
{{- with lookup "apps/v1" "StatefulSet" (index . 0) (index . 1) -}}
{{- $before := .spec.replicas | int64 -}}
{{- if and $before (ne $before (index $ 2 | int64)) -}}
{{- fail (printf "%s: found %v; expected %v, the number that exists: it is fixed when the volumes are first written to" (index $ 3) (index $ 2) $before) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Refuses an image whose tag is no semantic version. */}}
{{- define "data-platform.checkSemanticVersion" -}}
{{- if not (regexMatch ${goPattern(semanticVersion)} (include "data-platform.tagOf" (list (index . 1)))) -}}
{{- fail (printf "%s: found %s; expected an image with a semantic version as its tag: it is what a promotion writes" (index . 0) (index . 1)) -}}
{{- end -}}
{{- end }}

{{/* Refuses variables that the platform sets, and passwords in plain text: path, variables, the platform's as a pattern. */}}
{{- define "data-platform.checkVariables" -}}
{{- $path := index . 0 -}}
{{- $taken := index . 2 -}}
{{- range $name, $value := index . 1 -}}
{{- if not (regexMatch "^[A-Za-z_][A-Za-z0-9_]*$" $name) }}{{ fail (printf "%s.%s: expected a variable's name of letters, digits and underscores" $path $name) }}{{ end -}}
{{- if regexMatch $taken $name }}{{ fail (printf "%s.%s: expected another variable: the platform sets this one" $path $name) }}{{ end -}}
{{- if kindIs "string" $value -}}
{{- $secret := and (regexMatch ${goPattern(secretVariable)} $name) (not (regexMatch "^([$][(][A-Za-z0-9_]+[)])?$" $value)) -}}
{{- $inUrl := and (regexMatch "://[^/ :@]*:[^/ @]+@" $value) (not (regexMatch "://[^/ :@]*:[$][(]" $value)) -}}
{{- if or $secret $inUrl }}{{ fail (printf "%s.%s: expected no password here: name a Secret's key by secretKeyRef, or a variable as $(NAME)" $path $name) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Refuses settings of an Ingress without a host. */}}
{{- define "data-platform.checkIngress" -}}
{{- $path := index . 0 -}}
{{- $ingress := (index . 1).ingress | default dict -}}
{{- range $key := list "className" "tlsSecret" -}}
{{- if and (get $ingress $key) (not (get $ingress "host")) }}{{ fail (printf "%s.ingress.%s: expected ingress.host beside it: without one there is no Ingress" $path $key) }}{{ end -}}
{{- end -}}
{{- end }}

{{/* Refuses limits on a namespace that the chart does not create. */}}
{{- define "data-platform.checkNamespace" -}}
{{- $key := index . 0 -}}
{{- $namespace := index . 1 -}}
{{- if not $namespace.create -}}
{{- range $limit := list "quota" "limitRange" -}}
{{- if hasKey $namespace $limit }}{{ fail (printf "namespaces.%s.%s: expected create: true beside it, since the chart limits only a namespace that it creates" $key $limit) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* NoETL's image of a version. */}}
{{- define "data-platform.imageOf" -}}
{{- $tag := include "data-platform.tagOf" . -}}
{{- $version := index . 1 -}}
{{- if or (eq $tag $version) (hasPrefix (printf "%s-" $version) $tag) }}{{ index . 0 }}
{{- else }}{{ printf "%s:%s" (regexReplaceAll "(:[^:/@]+)?(@[^@]+)?$" (index . 0) "") $version }}{{ end -}}
{{- end }}

{{/* A sum. */}}
{{- define "data-platform.secondsAfter" -}}
{{- add (index . 0) (index . 1) -}}
{{- end }}

{{/* The product of two numbers, but at least a third. */}}
{{- define "data-platform.product" -}}
{{- max (mul (index . 0) (index . 1)) (index . 2) -}}
{{- end }}

{{/* What holds for the pods of a role: the defaults for all, what the component has, and what the role has. */}}
{{- define "data-platform.rolePods" -}}
{{- $usual := index . 0 -}}
{{- $own := index . 1 -}}
{{- $zones := $usual.zones -}}
{{- if and (index . 3) (eq $zones "preferred") }}{{ $zones = "required" }}{{ end -}}
{{- $pods := dict "zones" $zones "labels" dict "annotations" dict -}}
{{- range $level := list (omit $usual "zones") (omit $own "roles") (get ($own.roles | default dict) (index . 2) | default dict) -}}
{{- range $key, $value := $level -}}
{{- if has $key (list "labels" "annotations") -}}
{{- range $name, $text := $value }}{{ $_ := set (index $pods $key) $name $text }}{{ end -}}
{{- else }}{{ $_ := set $pods $key $value }}{{ end -}}
{{- end -}}
{{- end -}}
{{- toJson $pods -}}
{{- end }}
{{- define "data-platform.numberOf" -}}
{{- $pods := index . 0 -}}
{{- if hasKey $pods (index . 1) }}{{ index $pods (index . 1) | int64 }}{{ else }}{{ index . 2 }}{{ end -}}
{{- end }}
{{- define "data-platform.textsOf" -}}
{{- index . 0 (index . 1) | toJson -}}
{{- end }}
{{- define "data-platform.namesIds" -}}
{{- if or (hasKey (index . 0) "runAsUser") (ne (index . 1) "openshift") }}true{{ end -}}
{{- end }}
{{- define "data-platform.withoutBalance" -}}
{{- get (dict "preferred" "ScheduleAnyway" "required" "DoNotSchedule") (index . 0).zones -}}
{{- end }}
{{- define "data-platform.placementFields" -}}
{{- $pods := index . 0 -}}
{{- $fields := pick $pods "nodeSelector" "tolerations" "affinity" "runtimeClassName" "priorityClassName" -}}
{{- if and (index . 2) (not $pods.priorityClassName) }}{{ $_ := set $fields "priorityClassName" (printf "%s-%s" (index . 1) $pods.priority) }}{{ end -}}
{{- toJson $fields -}}
{{- end }}

{{/* Texts by their keys, the second ones before the first. */}}
{{- define "data-platform.bothOf" -}}
{{- $both := dict -}}
{{- range . }}{{ range $key, $text := . }}{{ $_ := set $both $key $text }}{{ end }}{{ end -}}
{{- toJson $both -}}
{{- end }}

{{/* A configuration file with settings: file, settings, what is between name and value, quotes. */}}
{{- define "data-platform.withSettings" -}}
{{- $lines := splitList "\\n" (index . 0) -}}
{{- $between := index . 2 -}}
{{- $quotes := index . 3 -}}
{{- $added := list -}}
{{- range $name, $value := index . 1 -}}
{{- $text := kindIs "string" $value | ternary $value (toJson $value) -}}
{{- if eq $quotes "json" }}{{ $text = toRawJson $text }}{{ else if eq $quotes "doubled" }}{{ $text = printf "'%s'" (replace "'" "''" $text) }}{{ end -}}
{{- $start := printf "%s%s" $name $between -}}
{{- $merged := list -}}
{{- $found := false -}}
{{- range $line := $lines -}}
{{- if and (not $found) (hasPrefix $start $line) }}{{ $found = true }}{{ $line = printf "%s%s" $start $text }}{{ end -}}
{{- $merged = append $merged $line -}}
{{- end -}}
{{- if $found }}{{ $lines = $merged }}{{ else }}{{ $added = append $added (printf "%s%s" $start $text) }}{{ end -}}
{{- end -}}
{{- $file := join "\\n" $lines -}}
{{- if and $added $file }}{{ $file = printf "%s\\n# The stack's own settings.\\n" $file }}{{ end -}}
{{- if $added }}{{ $file = printf "%s%s\\n" $file (join "\\n" $added) }}{{ end -}}
{{- $file }}
{{- end }}

{{/* Refuses settings that the platform sets, and passwords: path, settings, patterns for what is taken, names, references; an example, and what to do about a password. */}}
{{- define "data-platform.checkSettings" -}}
{{- $path := index . 0 -}}
{{- $taken := index . 2 -}}
{{- $form := index . 3 -}}
{{- $reference := index . 4 -}}
{{- $example := index . 5 -}}
{{- $passwords := index . 6 -}}
{{- range $name, $given := index . 1 -}}
{{- $value := kindIs "string" $given | ternary $given (toJson $given) -}}
{{- if not (regexMatch $form $name) }}{{ fail (printf "%s.%s: expected a setting's name such as %s" $path $name $example) }}{{ end -}}
{{- if regexMatch $taken $name }}{{ fail (printf "%s.%s: expected another setting: the platform sets this one" $path $name) }}{{ end -}}
{{- if regexMatch ${goPattern(/\p{Cc}|\\$/u)} $value }}{{ fail (printf "%s.%s: expected a value of one line, without a backslash at its end" $path $name) }}{{ end -}}
{{- $refers := and $reference (regexMatch $reference $value) -}}
{{- if or (and (regexMatch ${goPattern(secretSetting)} $name) (not $refers)) (regexMatch ${goPattern(passwordInside)} $value) }}{{ fail (printf "%s.%s: %s" $path $name $passwords) }}{{ end -}}
{{- end -}}
{{- end }}

{{/* Refuses settings that refer to variables which nothing sets: component, path, settings, pattern, what is before the name, the platform's variables. */}}
{{- define "data-platform.checkReferences" -}}
{{- $component := index . 0 -}}
{{- $path := index . 1 -}}
{{- $pattern := index . 3 -}}
{{- $before := index . 4 -}}
{{- $known := index . 5 -}}
{{- range $name, $given := index . 2 -}}
{{- range $found := regexFindAll $pattern (toString $given) -1 -}}
{{- $variable := $found | trimPrefix $before | trimSuffix "}" -}}
{{- if not (has $variable $known) }}{{ fail (printf "%s.%s: expected the variable %s in %s.env, with the Secret's key that it is from" $path $name $variable $component) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Refuses keys of labels or annotations that are none, and those that the platform sets: path, mapping, which. */}}
{{- define "data-platform.checkKeys" -}}
{{- $path := index . 0 -}}
{{- $taken := index . 2 -}}
{{- range $key, $text := index . 1 -}}
{{- if not (regexMatch ${goPattern(qualifiedName)} $key) }}{{ fail (printf "%s.%s: expected a key such as disktype or example.com/pool: at most 63 letters, digits, dots, dashes and underscores after the prefix" $path $key) }}{{ end -}}
{{- if kindIs "slice" $taken -}}
{{- if or (has $key $taken) (regexMatch ${goPattern(reservedKey)} $key) }}{{ fail (printf "%s.%s: expected another key: the platform sets this one; use a prefix of your own instead" $path $key) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Refuses annotations of an existing account, and the account of pods that name none: path, block. */}}
{{- define "data-platform.checkAccount" -}}
{{- $path := index . 0 -}}
{{- $account := index . 1 -}}
{{- include "data-platform.checkKeys" (list (printf "%s.annotations" $path) $account.annotations list) -}}
{{- if eq ($account.name | default "") "default" }}{{ fail (printf "%s.name: found default; expected another account: pods that name none run as default, so what it may do, they may too" $path) }}{{ end -}}
{{- if and $account.name $account.annotations }}{{ fail (printf "%s.annotations: expected no annotations beside name: the account exists, so it has those that you gave it" $path) }}{{ end -}}
{{- range $role, $own := $account.roles }}{{ include "data-platform.checkAccount" (list (printf "%s.roles.%s" $path $role) $own) }}{{ end -}}
{{- end }}

{{/* Refuses what Kubernetes would refuse in a pod's placement: path, pods, labels that the component sets. */}}
{{- define "data-platform.checkPods" -}}
{{- $path := index . 0 -}}
{{- $pods := index . 1 -}}
{{- $taken := index . 2 -}}
{{- include "data-platform.checkKeys" (list (printf "%s.labels" $path) $pods.labels $taken) -}}
{{- include "data-platform.checkKeys" (list (printf "%s.annotations" $path) $pods.annotations list) -}}
{{- include "data-platform.checkKeys" (list (printf "%s.nodeSelector" $path) $pods.nodeSelector "any") -}}
{{- range $i, $one := $pods.tolerations -}}
{{- $at := printf "%s.tolerations[%d]" $path $i -}}
{{- if and (eq ($one.operator | default "") "Exists") (hasKey $one "value") }}{{ fail (printf "%s.value: found %s; expected no value beside operator: Exists, which tolerates every value" $at $one.value) }}{{ end -}}
{{- if not (or $one.key (eq ($one.operator | default "") "Exists")) }}{{ fail (printf "%s.key: found nothing; expected a taint's key, or operator: Exists without one to tolerate every taint" $at) }}{{ end -}}
{{- if and (hasKey $one "tolerationSeconds") (ne ($one.effect | default "") "NoExecute") }}{{ fail (printf "%s.tolerationSeconds: found %v; expected effect: NoExecute beside it: only that one evicts pods" $at $one.tolerationSeconds) }}{{ end -}}
{{- end -}}
{{- include "data-platform.checkTerms" (list (printf "%s.affinity" $path) $pods.affinity) -}}
{{- range $role, $own := $pods.roles }}{{ include "data-platform.checkPods" (list (printf "%s.roles.%s" $path $role) $own $taken) }}{{ end -}}
{{- end }}

{{/* Refuses expressions without the values that their operators need, wherever they are in a block. */}}
{{- define "data-platform.checkTerms" -}}
{{- $path := index . 0 -}}
{{- $of := index . 1 -}}
{{- if kindIs "slice" $of -}}
{{- range $i, $one := $of }}{{ include "data-platform.checkTerms" (list (printf "%s[%d]" $path $i) $one) }}{{ end -}}
{{- else if kindIs "map" $of -}}
{{- include "data-platform.checkKeys" (list (printf "%s.matchLabels" $path) $of.matchLabels "any") -}}
{{- if $of.operator -}}
{{- $count := len ($of.values | default list) -}}
{{- if has $of.operator (list "Exists" "DoesNotExist") -}}
{{- if gt $count 0 }}{{ fail (printf "%s.values: expected no values beside operator: %s" $path $of.operator) }}{{ end -}}
{{- else if has $of.operator (list "Gt" "Lt") -}}
{{- if ne $count 1 }}{{ fail (printf "%s.values: expected one value, a number in quotes, beside operator: %s" $path $of.operator) }}{{ end -}}
{{- else if eq $count 0 }}{{ fail (printf "%s.values: expected values beside operator: %s" $path $of.operator) }}{{ end -}}
{{- else -}}
{{- range $key, $one := omit $of "matchLabels" }}{{ include "data-platform.checkTerms" (list (printf "%s.%s" $path $key) $one) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* A text in JSON. */}}
{{- define "data-platform.jsonText" -}}
{{- index . 0 | toRawJson -}}
{{- end }}

{{/* A text as a value of airflow.cfg. */}}
{{- define "data-platform.literal" -}}
{{- index . 0 | replace "%" "%%" -}}
{{- end }}

{{/* Names with the other kind of line. */}}
{{- define "data-platform.withDashes" -}}
{{- index . 0 | replace "_" "-" -}}
{{- end }}
{{- define "data-platform.withUnderscores" -}}
{{- index . 0 | replace "-" "_" -}}
{{- end }}

{{/* Base64 in the alphabet for URLs, and without its padding. */}}
{{- define "data-platform.urlSafe" -}}
{{- index . 0 | replace "+" "-" | replace "/" "_" -}}
{{- end }}
{{- define "data-platform.withoutPadding" -}}
{{- index . 0 | trimSuffix "=" | trimSuffix "=" -}}
{{- end }}

{{/* Type of an application's Service: the configured one, or that of the kind of the cluster. */}}
{{- define "data-platform.serviceType" -}}
{{- $byCluster := dict "plain" "ClusterIP" "kind" "NodePort" "embedded" "NodePort" "eks" "LoadBalancer" "aks" "LoadBalancer" "gke" "LoadBalancer" "openshift" "ClusterIP" -}}
{{- coalesce (index . 0) (index $byCluster (index . 1)) -}}
{{- end }}

{{- define "data-platform.isEmbedded" -}}
{{- if eq (index . 0) "embedded" }}true{{ end -}}
{{- end }}
{{- define "data-platform.isExposed" -}}
{{- if ne (index . 0) "ClusterIP" }}true{{ end -}}
{{- end }}

{{/* A page's host: its own, or its name in the domain if that shows it. */}}
{{- define "data-platform.pageHost" -}}
{{- if index . 0 }}{{ index . 0 }}{{ else if and (index . 2) (index . 3) }}{{ printf "%s.%s" (index . 1) (index . 2) }}{{ end -}}
{{- end }}
{{- define "data-platform.pageUrl" -}}
{{- if index . 0 }}{{ printf "https://%s" (index . 0) }}{{ end -}}
{{- end }}

{{/* Whether policies name who reaches the pages. */}}
{{- define "data-platform.isPoliced" -}}
{{- if and (index . 0) (or (index . 1) (eq (index . 2) "embedded")) }}true{{ end -}}
{{- end }}

{{/* The first text, or the third if the second is set. */}}
{{- define "data-platform.firstText" -}}
{{- if index . 0 }}{{ index . 0 }}{{ else if and (index . 1) (index . 2) }}{{ index . 2 }}{{ end -}}
{{- end }}

{{/* Whether the embedded cluster's own authority signs the pages' certificates. */}}
{{- define "data-platform.isSignedLocally" -}}
{{- if and (not (index . 0)) (not (index . 1)) (eq (index . 2) "embedded") }}true{{ end -}}
{{- end }}
{{- define "data-platform.issuerAnnotation" -}}
{{- eq (index . 0) "Issuer" | ternary "cert-manager.io/issuer" "cert-manager.io/cluster-issuer" -}}
{{- end }}

{{/* The port of a URL of http, https or ssh, or of git's short notation for SSH. */}}
{{- define "data-platform.portOfUrl" -}}
{{- $scheme := regexFind "^[a-z]+://" (index . 0) -}}
{{- $host := regexFind "^[^/?#]+" (trimPrefix $scheme (index . 0)) -}}
{{- $port := "" -}}
{{- if $scheme }}{{ $port = regexFind ":[0-9]+$" $host | trimPrefix ":" }}{{ end -}}
{{- $usual := dict "" "22" "ssh://" "22" "http://" "80" -}}
{{- $port | default (get $usual $scheme) | default "443" -}}
{{- end }}

{{/* The entries of a list whose fields have one of some values, each once: list, names with spaces between them by field. */}}
{{- define "data-platform.entriesWith" -}}
{{- $fields := index . 1 -}}
{{- $found := list -}}
{{- range $entry := index . 0 -}}
{{- $matches := true -}}
{{- range $field, $names := $fields -}}
{{- if not (has (get $entry $field) (splitList " " $names)) }}{{ $matches = false }}{{ end -}}
{{- end -}}
{{- if $matches }}{{ $found = append $found $entry }}{{ end -}}
{{- end -}}
{{- $found | uniq | toJson -}}
{{- end }}

{{/* A name for labels. */}}
{{- define "data-platform.hashOfLabels" -}}
{{- include "data-platform.hash" (list (index . 0 | toRawJson)) -}}
{{- end }}

{{/* A percentage of a size in whole mebibytes. */}}
{{- define "data-platform.mebibytesOf" -}}
{{- div (mul (div (include "data-platform.bytes" (index . 0) | int64) 1048576) (int64 (index . 1))) 100 -}}
{{- end }}
`;
