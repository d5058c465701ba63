import type { RandomSource } from "../evaluate.ts";
import type { KubeObject } from "../manifests.ts";
import { expressionOf, loopsIn, plainName, text } from "./expressions.ts";
import type { Defines, Writer } from "./write.ts";

/** A generated password, or random bytes in base64. */
interface Password {
  /** Name of its template. */
  template: string;
  /** Operands: what it is called among all passwords, and how often it was rotated. */
  name: string;
  rotation: string;
  /** Number of characters, or of bytes. */
  length: number;
  bytes: boolean;
  /** Operands: where it is stored. Undefined: not found yet. */
  place?: { namespace: string; secret: string; key: string };
}

/** Functions that change nothing when they are applied again, so that they may be applied to a stored password. */
const idempotent = /^\(include "data-platform\.(?:urlSafe|withoutPadding)" \(list (.*)\)\)$/;

/**
 * The passwords of the chart. Each is generated at the first install; later it is read from the Secret that has it, so
 * that an upgrade keeps it, and generated again when its rotation has changed.
 */
export class Passwords {
  private readonly writer: Writer;
  private readonly defines: Defines;
  /** By the call of its template. */
  private readonly all = new Map<string, Password>();

  constructor(writer: Writer, defines: Defines) {
    this.writer = writer;
    this.defines = defines;
  }

  /** In place of a random value: a call of its template. */
  readonly source: RandomSource = ({ type, name, inputs }) => {
    // It hides what a weak password is; the chart's are not weak, and a salt of its own would be in no Secret.
    if (name === "checksum-salt") return "";
    const { rotation = "" } = (inputs.keepers ?? {}) as { rotation?: string };
    const operand = this.writer.operand(name);
    const template = `data-platform.password-${plainName(name)}`;
    const bytes = type.endsWith("RandomBytes");
    const call = this.defines.call(template, loopsIn(operand));
    this.all.set(call, {
      template,
      name: operand,
      rotation: this.writer.operand(rotation),
      length: Number(inputs.length),
      bytes,
    });
    return text(call);
  };

  /** Notes which passwords a Secret stores, and adds their rotations to it. */
  stored(secret: KubeObject, urn: string): KubeObject {
    const { namespace = "", name, annotations } = secret.metadata;
    const rotations: Record<string, string> = {};
    for (const [key, value] of Object.entries((secret.stringData ?? {}) as Record<string, unknown>)) {
      let call = expressionOf(value)?.expression ?? "";
      for (let inner = idempotent.exec(call); inner; inner = idempotent.exec(call)) call = inner[1] ?? "";
      const password = this.all.get(call);
      if (!password) continue;
      rotations[`data-platform/rotation-${key}`] = text(`(${password.rotation} | toString)`);
      // Copies in other namespaces follow the component's own.
      if (/-in-[a-z]+$/.test(urn)) continue;
      password.place = {
        namespace: this.writer.operand(namespace),
        secret: this.writer.operand(name),
        key: JSON.stringify(key),
      };
    }
    if (Object.keys(rotations).length === 0) return secret;
    return { ...secret, metadata: { ...secret.metadata, annotations: { ...annotations, ...rotations } } };
  }

  /** The templates of all passwords. Call it after `stored` for each Secret. */
  get file(): string {
    const templates = [...this.all.values()].map(({ template, name, rotation, length, bytes, place }) => {
      if (!place) throw new Error(`${template}: no Secret stores it, so that an upgrade could not keep it`);
      const variables = [...new Set(loopsIn(`${name} ${rotation} ${place.secret}`).flatMap((one) => one.variables))];
      const bound = variables.map((variable) => `{{- ${variable} := $.${variable.slice(1)} -}}\n`).join("");
      const fields = { name, rotation: `(${rotation} | toString)`, length, bytes, ...place };
      return `{{- define "${template}" -}}
${bound}{{- include "data-platform.password" (dict "Values" $.Values ${Object.entries(fields)
        .map(([key, operand]) => `"${key}" ${operand}`)
        .join(" ")}) -}}
{{- end }}
`;
    });
    return [password, ...templates].join("\n");
  }
}

const password = `{{/* Whether the chart can look into the cluster: not with helm template, nor in Argo CD. */}}
{{- define "data-platform.canLookUp" -}}
{{- if lookup "v1" "Namespace" "" "kube-system" }}true{{ end -}}
{{- end }}

{{/*
A generated password: the one that its Secret has, or a new one if there is none or its rotation has changed. Without
Secrets of the chart's own: what changes with the rotation. One render gives one password, wherever it is included.
*/}}
{{- define "data-platform.password" -}}
{{- if not .Values.secrets.create }}{{ printf "%s %s" .name .rotation }}{{ else -}}
{{- if not (hasKey .Values "passwords") }}{{ $_ := set .Values "passwords" dict }}{{ end -}}
{{- if not (hasKey .Values.passwords .name) -}}
{{- $found := lookup "v1" "Secret" .namespace .secret | default dict -}}
{{- $data := get $found "data" | default dict -}}
{{- $annotations := dig "metadata" "annotations" dict $found -}}
{{- $rotation := get $annotations (printf "data-platform/rotation-%s" .key) | default .rotation -}}
{{- if and (hasKey $data .key) (eq $rotation .rotation) -}}
{{- $_ := set .Values.passwords .name (index $data .key | b64dec) -}}
{{- else -}}
{{- $_ := set .Values.passwords .name (.bytes | ternary (randBytes .length) (randAlphaNum .length)) -}}
{{- end -}}
{{- end -}}
{{- index .Values.passwords .name -}}
{{- end -}}
{{- end }}
`;
