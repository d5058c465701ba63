// Proves what Helm and kustomize render from real repositories, and that they reach nothing outside the repository: no
// program, no address, no file. It runs the programs themselves if they are on PATH, and is skipped without them.
// Does not prove what the kernel counts of a pod's memory: the cluster tests run the pod with its limit.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { networkInterfaces, tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { execaSync } from "execa";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Git } from "../src/git.ts";
import { render, tool } from "../src/render.ts";
import { parseSettings } from "../src/settings.ts";
import { configMap } from "./fake-cluster.ts";
import { GitServer } from "./git-server.ts";

const missing = ["kustomize", "helm"].filter(
  (program) => !(process.env.PATH ?? "").split(delimiter).some((folder) => existsSync(join(folder, program))),
);
const withTools = missing.length > 0 ? `(skipped: no ${missing.join(" and no ")} on PATH)` : "";

let git: GitServer;
let work: string;
/** Where an attack would have a program or kustomize write. */
let marker: string;
/** A web server that attacks ask, and what it was asked. */
let web: Server;
let address: string;
const asked: string[] = [];
let count = 0;
const signal = new AbortController().signal;

beforeAll(async () => {
  git = await GitServer.start();
  work = mkdtempSync(join(tmpdir(), "tools-test-"));
  web = createServer((request, response) => {
    asked.push(request.url ?? "");
    response.end('{"secret": "metadata"}');
  });
  await new Promise<void>((done) => web.listen(0, "0.0.0.0", done));
  address = `http://127.0.0.1:${(web.address() as AddressInfo).port}`;
});
afterAll(() => {
  git.stop();
  web.close();
  rmSync(work, { recursive: true });
});
beforeEach(() => {
  asked.length = 0;
  marker = join(work, `marker-${count++}`);
});

const capabilities = async () => ({ version: "v1.31.7", apis: ["v1", "apps/v1", "example.com/v1/Thing"] });

async function read(files: Parameters<GitServer["commit"]>[1], more = "") {
  const name = `team/app-${count++}`;
  await git.commit(name, files);
  const [settings] = parseSettings(
    `repositories: [{ name: ${name}, url: "${git.url(name)}", namespace: apps, path: deploy ${more} }]`,
  );
  if (!settings) throw new Error("no settings");
  const checkout = await new Git(work).checkout(settings, join(work, `checkout-${count++}`), signal);
  return render(checkout, settings, capabilities, signal);
}
const refusal = (...of: Parameters<typeof read>) =>
  read(...of).then(
    (objects) => `deployed ${objects.length} objects`,
    ({ message }: Error) => message,
  );

/** A reference that has git run a command, where it reaches git. */
const command = () => `file:///nowhere//x?ref=--upload-pack%3Dtouch%20${encodeURIComponent(marker)}%3B%23`;
const chart = (more = "", name = "web") => `apiVersion: v2\nname: ${name}\nversion: 1.0.0\n${more}`;

describe("a kustomization reaches nothing outside of its repository:", () => {
  const list = (key: string, value: string) => `${key}: [${JSON.stringify(value)}]\n`;
  it.each<[string, () => Record<string, string>]>([
    ["a base that is a command", () => ({ "deploy/kustomization.yaml": list("resources", command()) })],
    [
      "one in a base below",
      () => ({
        "deploy/kustomization.yaml": list("resources", "../base"),
        "base/kustomization.yml": list("bases", command()),
      }),
    ],
    [
      "one in a component of a base beside it",
      () => ({
        "deploy/kustomization.yaml": list("resources", "./base"),
        "deploy/base/Kustomization": list("components", command()),
      }),
    ],
    ["a base in a file:// repository", () => ({ "deploy/kustomization.yaml": list("resources", `file://${work}`) })],
    ["a base by ssh", () => ({ "deploy/kustomization.yaml": list("resources", "git@example.com:a/b.git") })],
    ["a base on GitHub", () => ({ "deploy/kustomization.yaml": list("resources", "github.com/a/b?ref=v1") })],
    ["a resource by http", () => ({ "deploy/kustomization.yaml": list("resources", `${address}/a`) })],
    [
      "a folder that is called like an address",
      () => ({
        "deploy/kustomization.yaml": list("resources", `${address}/a`),
        [`deploy/${address.replace("//", "/")}/a`]: configMap("a", "1"),
      }),
    ],
    ["a field in another case", () => ({ "deploy/kustomization.yaml": list("RESOURCES", `${address}/a`) })],
    [
      "a field with a letter that Go folds",
      () => ({ "deploy/kustomization.yaml": list("re\u017fources", `${address}/a`) }),
    ],
    [
      "a field after what YAML 1.1 alone takes for the end of a comment",
      () => ({
        "deploy/kustomization.yaml": `resources: [a.yaml]\n#\u2028components: ["${address}/a"]\n`,
        "deploy/a.yaml": configMap("a", "1"),
      }),
    ],
    [
      "the same in settings inside of it",
      () => ({
        "deploy/kustomization.yaml": `generators:\n- "apiVersion: builtin\\nkind: ConfigMapGenerator\\nmetadata: {name: b}\\n#\\u2028files: ['x=${address}/a']"\nresources: [a.yaml]\n`,
        "deploy/a.yaml": configMap("a", "1"),
      }),
    ],
    [
      "an address in base64",
      () => ({
        "deploy/kustomization.yaml": `resources: [!!binary ${Buffer.from(`${address}/a`).toString("base64")}]`,
      }),
    ],
    ...["crds", "configurations", "patchesStrategicMerge", "generators", "transformers", "validators"].map(
      (key): [string, () => Record<string, string>] => [
        `${key} by http`,
        () => ({
          "deploy/kustomization.yaml": `resources: [a.yaml]\n${list(key, `${address}/a`)}`,
          "deploy/a.yaml": configMap("a", "1"),
        }),
      ],
    ),
    ...[
      (url: string) => `configMapGenerator: [{ name: a, files: [x=${url}] }]`,
      (url: string) => `configMapGenerator: [{ name: a, files: ["${url}"] }]`,
      (url: string) => `configMapGenerator: [{ name: a, envs: ["${url}"] }]`,
      (url: string) => `secretGenerator: [{ name: a, env: "${url}" }]`,
      (url: string) => `patches: [{ path: "${url}" }]`,
      (url: string) => `patchesJson6902: [{ path: "${url}", target: { kind: ConfigMap, name: a, version: v1 } }]`,
      (url: string) => `replacements: [{ path: "${url}" }]`,
      (url: string) => `openapi: { path: "${url}" }`,
      (url: string) => `x: &x { resources: ["${url}"] }\n<<: *x`,
      (url: string) =>
        `generators: ["{apiVersion: builtin, kind: ConfigMapGenerator, metadata: {name: a}, files: ['x=${url}']}"]`,
      (url: string) =>
        `transformers: ["{apiVersion: builtin, kind: PatchTransformer, metadata: {name: a}, path: '${url}', target: {kind: ConfigMap}}"]`,
    ].map((text): [string, () => Record<string, string>] => [
      `${text("<url>")}`,
      () => ({
        "deploy/kustomization.yaml": `${text(`${address}/a`)}\nresources: [a.yaml]\n`.replace(
          /(<<: \*x)\nresources.*\n/,
          "$1\n",
        ),
        "deploy/a.yaml": configMap("a", "1"),
      }),
    ]),
    [
      "the settings of a generator, in a folder of its own",
      () => ({
        "deploy/kustomization.yaml": "generators: [./generators]\n",
        "deploy/generators/kustomization.yaml": "resources: [one.yaml]\n",
        "deploy/generators/one.yaml": `{ apiVersion: builtin, kind: ConfigMapGenerator, metadata: { name: a }, files: ["x=${address}/a"] }`,
      }),
    ],
    [
      "a chart",
      () => ({ "deploy/kustomization.yaml": `helmCharts: [{ name: a, repo: "${address}", version: 1.0.0 }]\n` }),
    ],
    ["a path out of the repository", () => ({ "deploy/kustomization.yaml": list("resources", "../../../etc/passwd") })],
    ["git's own files", () => ({ "deploy/kustomization.yaml": list("resources", "../.git") })],
  ])("%s", async (_, files) => {
    const said = await refusal(files());
    // With the comment, what it hides is gone, and the rest is deployed where kustomize is there.
    if (!/^deployed [12] /.test(said) && !said.startsWith("kustomize: is not installed"))
      expect(said).toMatch(/^(deploy|base)\/[^ ]+: .*(expected|found) /);
    expect(said).not.toContain("\n");
    expect(asked).toEqual([]);
    expect(existsSync(marker)).toBe(false);
  });
});

describe.skipIf(missing.includes("kustomize"))(`kustomize ${withTools}`, () => {
  it("builds what reaches all over the repository, and reads no more of that", async () => {
    const objects = await read({
      "deploy/kustomization.yaml": [
        "resources: [../base, one.yaml]",
        "components: [./component]",
        "namePrefix: my-",
        "generatorOptions: { disableNameSuffixHash: true }",
        "configMapGenerator: [{ name: files, files: [data.txt, other=data.txt], envs: [some.env], literals: ['url=https://example.com/?ref=1'] }]",
        "patches:",
        "- { path: patch.yaml }",
        "- target: { kind: ConfigMap, name: base }",
        "  patch: |-",
        "    - { op: add, path: /data/inline, value: https://example.com }",
        "replacements: [{ path: replacement.yaml }]",
        "transformers:",
        "- |-",
        "  apiVersion: builtin",
        "  kind: AnnotationsTransformer",
        "  metadata: { name: a }",
        "  annotations: { url: https://example.com }",
        "  fieldSpecs: [{ path: metadata/annotations, create: true }]",
        "",
      ].join("\n"),
      "deploy/one.yaml":
        "apiVersion: v1\nkind: Pod\nmetadata: { name: one }\nspec: { volumes: [{ name: a, secret: { defaultMode: 0400 } }] }",
      "deploy/data.txt": "text",
      "deploy/some.env": "A=1",
      "deploy/patch.yaml":
        "{ apiVersion: v1, kind: ConfigMap, metadata: { name: base }, data: { patched: yes-it-is } }",
      "deploy/replacement.yaml":
        "source: { kind: Pod, name: one }\ntargets: [{ select: { kind: ConfigMap, name: base }, fieldPaths: [data.value] }]",
      "deploy/component/kustomization.yaml":
        "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nnameSuffix: -x\n",
      "base/kustomization.yaml": "# ünï\u2028code\nresources:\n- base.yaml\n---\n",
      "base/base.yaml": configMap("base", "1"),
      "src/large.bin": Buffer.alloc(3 * 1024 * 1024, 1),
    });
    const found = new Map(objects.map((object) => [object.metadata.name, object]));
    expect([...found.keys()].sort()).toEqual(["my-base-x", "my-files-x", "my-one-x"]);
    expect(found.get("my-base-x")).toMatchObject({
      data: { value: "my-one-x", inline: "https://example.com", patched: "yes-it-is" },
      metadata: { annotations: { url: "https://example.com" } },
    });
    expect(found.get("my-files-x")).toMatchObject({
      data: { "data.txt": "text", other: "text", A: "1", url: "https://example.com/?ref=1" },
    });
    expect(found.get("my-one-x")).toMatchObject({ spec: { volumes: [{ secret: { defaultMode: 256 } }] } });
  });

  it("says the cause where a patch or a resource is wrong", async () => {
    const files = {
      "deploy/kustomization.yaml": "resources: [a.yaml]\npatches: [{ path: b.yaml }]",
      "deploy/b.yaml": "kind: X",
    };
    for (const [a, message] of [
      [configMap("a", "1"), /^kustomize: .*unable to parse SM or JSON patch.*b\.yaml/],
      ["a: {{ b }}", /^kustomize: .*a\.yaml.*missing Resource metadata/],
    ] as const) {
      const said = await refusal({ ...files, "deploy/a.yaml": a });
      expect(said).toMatch(message);
      expect(said).not.toMatch(/\n|\/tmp/);
    }
  });

  it("runs no git and reaches no server, whatever it is given", async () => {
    const own = Object.values(networkInterfaces())
      .flat()
      .find((one) => one?.family === "IPv4" && !one.internal)?.address;
    const url = `http://${own}:${(web.address() as AddressInfo).port}/a`;
    for (const [index, base] of [command(), `${url}.git?ref=v1`, url].entries()) {
      const folder = join(work, `unchecked-${index}`);
      mkdirSync(folder);
      writeFileSync(join(folder, "kustomization.yaml"), `resources: ["${base}"]`);
      await expect(tool("kustomize", ["build", folder], folder, signal)).rejects.toThrow(
        /no 'git' program on path|connection refused/,
      );
    }
    expect(asked).toEqual([]);
    expect(existsSync(marker)).toBe(false);
  });

  it("is ended where it takes more memory than its share", async () => {
    const keys = "abcdefghij";
    const lines = [...keys.slice(1)].map(
      (key, index) => `${key}: &${key} [${Array(9).fill(`*${keys[index]}`).join(", ")}]`,
    );
    const bomb = `apiVersion: v1\nkind: X\nmetadata: { name: a }\na: &a [x, x, x]\n${lines.join("\n")}\n`;
    expect(await refusal({ "deploy/kustomization.yaml": "resources: [a.yaml]", "deploy/a.yaml": bomb })).toMatch(
      /^kustomize: (needs more than 160 MiB of memory|.*alias)/,
    );
  });
});

describe("a chart", () => {
  const schema = (value: unknown) => ({
    "deploy/Chart.yaml": chart(),
    "deploy/values.schema.json": JSON.stringify(value),
    "deploy/templates/a.yaml": configMap("a", "1"),
  });
  it.each<[string, () => Record<string, string>, string]>([
    [
      "a schema by http",
      () => schema({ properties: { a: { $ref: `${address}/a` } } }),
      "deploy/values.schema.json: found $ref http://127.0.0.1",
    ],
    [
      "a schema in a file",
      () => schema({ $ref: "file:///etc/passwd" }),
      "deploy/values.schema.json: found $ref file:///etc",
    ],
    [
      "a schema beside another",
      () => schema({ $id: `${address}/`, $ref: "a.json" }),
      "deploy/values.schema.json: found $ref a.json",
    ],
    [
      "a schema of a schema",
      () => schema({ $schema: `${address}/a` }),
      "deploy/values.schema.json: found $schema http://127",
    ],
    [
      "a schema of a chart in it",
      () => ({
        "deploy/Chart.yaml": chart(),
        "deploy/charts/sub/Chart.yaml": chart("", "sub"),
        "deploy/charts/sub/values.schema.json": JSON.stringify({ allOf: [{ $dynamicRef: `${address}/a` }] }),
      }),
      "deploy/charts/sub/values.schema.json: found $dynamicRef http://127.0.0.1",
    ],
    [
      "a dependency from a server",
      () => ({ "deploy/Chart.yaml": chart(`dependencies: [{ name: a, version: 1.0.0, repository: "${address}" }]`) }),
      "deploy/Chart.yaml: found the dependency a from http://127.0.0.1",
    ],
    [
      "a dependency outside of the repository",
      () => ({ "deploy/Chart.yaml": chart("dependencies: [{ name: a, version: 1.0.0, repository: file://../../a }]") }),
      "deploy/Chart.yaml: found the dependency a from file://../../a; deployd fetches no charts",
    ],
    [
      "charts that depend on each other",
      () => ({
        "deploy/Chart.yaml": chart("dependencies: [{ name: a, version: 1.0.0, repository: file://../a }]"),
        "a/Chart.yaml": chart("dependencies: [{ name: web, version: 1.0.0, repository: file://../deploy }]", "a"),
      }),
      "a/Chart.yaml: the dependency web leads back to deploy",
    ],
  ])("is refused %s", async (_, files, message) => {
    expect(await refusal(files())).toContain(message);
    expect(asked).toEqual([]);
  });
});

describe.skipIf(missing.includes("helm"))(`Helm ${withTools}`, () => {
  it("knows the cluster's release and what it serves", async () => {
    const [object] = await read({
      "deploy/Chart.yaml": chart('kubeVersion: ">=1.31.0-0 <1.32.0-0"'),
      "deploy/templates/a.yaml": configMap(
        "a",
        '{{ .Capabilities.KubeVersion.Minor }} {{ .Capabilities.APIVersions.Has \\"example.com/v1/Thing\\" }} {{ .Capabilities.APIVersions.Has \\"example.com/v2\\" }}',
      ).replaceAll('\\"', "`"),
    });
    expect(object).toMatchObject({ data: { value: "31 true false" } });
    expect(await refusal({ "deploy/Chart.yaml": chart('kubeVersion: ">=1.40"') })).toMatch(/^helm: .*1\.40.*v1\.31\.7/);
  });

  it("takes charts of the same repository as dependencies, and those theirs", async () => {
    const objects = await read({
      "deploy/Chart.yaml": chart("dependencies: [{ name: lib, version: 1.0.0, repository: file://../charts/lib }]"),
      "deploy/templates/a.yaml": '{{ include "lib.map" . }}',
      "charts/lib/Chart.yaml": chart(
        "dependencies: [{ name: names, version: 1.x.x, repository: file://../names/ }]",
        "lib",
      ),
      "charts/lib/templates/_map.tpl": `{{ define "lib.map" }}${configMap('{{ include "names.name" . }}', "1")}{{ end }}`,
      "charts/names/Chart.yaml": chart("", "names"),
      "charts/names/templates/_name.tpl": '{{ define "names.name" }}from-{{ .Chart.Name }}{{ end }}',
    });
    expect(objects.map(({ metadata }) => metadata.name)).toEqual(["from-web"]);
  });

  it("asks for no schema that an archive in charts/ refers to", async () => {
    const folder = join(work, "packed");
    mkdirSync(join(folder, "sub"), { recursive: true });
    writeFileSync(join(folder, "sub/Chart.yaml"), chart("", "sub"));
    writeFileSync(join(folder, "sub/values.schema.json"), JSON.stringify({ $ref: `${address}/a` }));
    execaSync("tar", ["-czf", "sub.tgz", "sub"], { cwd: folder });
    const objects = await read({
      "deploy/Chart.yaml": chart("dependencies: [{ name: sub, version: 1.0.0, repository: https://example.com }]"),
      "deploy/values.yaml": "sub: { a: 1 }",
      "deploy/charts/sub-1.0.0.tgz": readFileSync(join(folder, "sub.tgz")),
      "deploy/templates/a.yaml": configMap("a", "1"),
    });
    expect(objects).toHaveLength(1);
    expect(asked).toEqual([]);
  });

  it("checks values by the chart's own schema, and says all that is wrong", async () => {
    const files = {
      "deploy/Chart.yaml": chart(),
      "deploy/values.yaml": "size: 1\ncount: many\n",
      "deploy/values.schema.json": JSON.stringify({
        $schema: "https://json-schema.org/draft-07/schema#",
        definitions: { size: { type: "string" } },
        properties: { size: { $ref: "#/definitions/size" }, count: { type: "number" } },
      }),
      "deploy/templates/a.yaml": configMap("a", "1"),
    };
    const said = await refusal(files);
    expect(said).toMatch(/^helm: .*size.*want string/);
    expect(said).toMatch(/count.*want number/);
    expect(said).not.toContain("\n");
  });

  it("says the cause where a template fails", async () => {
    const said = await refusal({
      "deploy/Chart.yaml": chart(),
      "deploy/templates/a.yaml": configMap("{{ .Values.a.b }}", "1"),
    });
    expect(said).toMatch(
      /^helm: .*web\/templates\/a\.yaml:1.*\.Values\.a\.b.*nil pointer evaluating interface \{\}\.b/,
    );
    expect(said).not.toMatch(/\n|--debug/);
  });

  it("is ended where a template takes more memory than its share, or prints too much", async () => {
    const doubled = '{{ $s := "x" }}{{ range until 40 }}{{ $s = cat $s $s }}{{ end }}';
    expect(await refusal({ "deploy/Chart.yaml": chart(), "deploy/templates/a.yaml": doubled })).toBe(
      "helm: needs more than 160 MiB of memory",
    );
    const long = `{{ range until 90000 }}${"# a comment of some length, again and again\n"}{{ end }}`;
    expect(await refusal({ "deploy/Chart.yaml": chart(), "deploy/templates/a.yaml": long.repeat(2) })).toMatch(
      /^helm: (printed more than 4 MiB|needs more than 160 MiB of memory)$/,
    );
  });
});
