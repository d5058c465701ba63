import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { inFiles, kubeconform, type Stacks } from "./scan.ts";

/** A part of Kubernetes' OpenAPI document. */
interface Schema {
  type?: string;
  format?: string;
  properties?: Record<string, Schema>;
  additionalProperties?: Schema | boolean;
  items?: Schema;
  $ref?: string;
  oneOf?: Schema[];
  "x-kubernetes-group-version-kind"?: { group: string; version: string; kind: string }[];
}

/** The OpenAPI document of the Kubernetes version that the embedded cluster runs, from its Go module. */
async function openApi(): Promise<Record<string, Schema>> {
  const args = ["mod", "download", "-json", "k8s.io/kubernetes"];
  const { stdout } = await execa("go", args, { cwd: "local/cluster/go/kubernetes" });
  const { Dir } = JSON.parse(stdout) as { Dir: string };
  const { definitions } = JSON.parse(readFileSync(join(Dir, "api/openapi-spec/swagger.json"), "utf8"));
  return definitions;
}

/** The same as a JSON schema that refuses unknown fields, as an API server with strict field validation does. */
function strict(schema: Schema): Schema {
  if (schema.$ref) return { $ref: schema.$ref };
  if (schema.format === "int-or-string") return { oneOf: [{ type: "string" }, { type: "integer" }] };
  const { type, properties, additionalProperties, items } = schema;
  return {
    ...(type && { type }),
    ...(items && { items: strict(items) }),
    ...(typeof additionalProperties === "object" && { additionalProperties: strict(additionalProperties) }),
    ...(properties && {
      additionalProperties: false,
      properties: Object.fromEntries(Object.entries(properties).map(([name, inner]) => [name, strict(inner)])),
    }),
    ...("required" in schema && { required: schema.required }),
  } as Schema;
}

/** Writes the schemas into `folder` under the names by which kubeconform finds them. */
async function writeSchemas(folder: string): Promise<void> {
  const all = await openApi();
  const definitions = Object.fromEntries(Object.entries(all).map(([name, schema]) => [name, strict(schema)]));
  writeFileSync(join(folder, "all.json"), JSON.stringify({ definitions }));
  for (const [name, { "x-kubernetes-group-version-kind": kinds = [] }] of Object.entries(all))
    for (const { group, version, kind } of kinds)
      writeFileSync(
        join(folder, `${kind.toLowerCase()}-${group || "core"}-${version}.json`),
        JSON.stringify({ $ref: `all.json#/definitions/${name}` }),
      );
}

/** What kubeconform finds wrong with objects of stacks, a line for each. */
export async function invalid(stacks: Stacks): Promise<string[]> {
  const program = await kubeconform();
  const schemas = mkdtempSync(join(tmpdir(), "data-platform-schemas-"));
  try {
    await writeSchemas(schemas);
    const file = `${schemas}/{{.ResourceKind}}-{{if eq .Group .ResourceAPIVersion}}core{{else}}{{.Group}}{{end}}-{{.ResourceAPIVersion}}.json`;
    const args = ["-strict", "-summary", "-output", "json", "-schema-location", file];
    return await inFiles(stacks, async (folder) => {
      const { stdout } = await execa(program, [...args, folder], { reject: false });
      const { resources, summary } = JSON.parse(stdout) as Conformity;
      const all = Object.values(stacks).flat().length;
      if (summary.valid + resources.length !== all)
        throw new Error(`kubeconform validated ${summary.valid} of ${all} objects`);
      return resources.map(({ kind, name, msg }) => `${kind} ${name}: ${msg}`);
    });
  } finally {
    rmSync(schemas, { recursive: true });
  }
}

interface Conformity {
  resources: { kind: string; name: string; msg: string }[];
  summary: { valid: number };
}
