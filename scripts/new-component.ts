import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { registry } from "../components/registry.ts";
import { UserError } from "../config/errors.ts";

/*
 * `npm run new:component NAME` writes the files of a new component, one HTTP server, and prints the lines that add it to
 * the registry and to the platform.
 */

/** The names that a component's files and code use. `schema-registry` → `schemaRegistry`, `SchemaRegistry`, `Schema registry`. */
function namesOf(name: string) {
  const words = name.split("-");
  const capital = (word: string) => `${word.charAt(0).toUpperCase()}${word.slice(1)}`;
  const className = words.map(capital).join("");
  return {
    name,
    className,
    key: `${className.charAt(0).toLowerCase()}${className.slice(1)}`,
    title: capital(words.join(" ")),
  };
}

type Names = ReturnType<typeof namesOf>;

const schema = ({
  name,
  key,
  title,
}: Names) => `import { block, count, enabled, image, resources, service } from "../../config/fields.ts";
import { workload } from "../../config/pods.ts";
import { component } from "../kit/definition.ts";

const config = block({
  enabled: enabled(false),
  image: image("example/${name}:1.0.0"),
  replicas: count("servers", 1, 16).default(1).describe("Servers."),
  resources: resources({ cpu: "10m", memory: "64Mi", limit: "128Mi" }),
  // Variables that the component sets itself go into \`sets\`, with the key to use instead.
  ...workload({ priority: "web" }),
  service,
}).prefault({});

export const ${key} = component({
  title: "${title}",
  summary: "What it is for, in a few words",
  folder: "${name}",
  namespace: "apps",
  config,
  // needs: { postgresql: "it keeps its state there" },
  // uses: ["kafka"],
});
`;

const component = ({ className, key, name, title }: Names) => `import type * as pulumi from "@pulumi/pulumi";
import type { Config } from "../../config/schema.ts";
import type { ComponentArgs } from "../kit/args.ts";
import { Component, type Metrics } from "../kit/component.ts";
import type { Endpoint } from "../kit/connection.ts";
import { deployment } from "../kit/deployment.ts";
import { drain, httpProbe, lenientLiveness, scratch } from "../kit/pod.ts";
import { endpoint, exposed, service } from "../kit/service.ts";

const ports = { http: 8080 };
/** User and group of the image. */
const user = 1000;

export interface ${className}Args extends ComponentArgs<Config["${key}"]> {}

/** ${title}: what it does, in a sentence. */
export class ${className} extends Component {
  override readonly metrics: Metrics[] = [];
  readonly endpoint: Endpoint;

  constructor(name: string, { namespace, config }: ${className}Args, opts?: pulumi.ComponentResourceOptions) {
    super("${className}", name, namespace, config, opts);
    const server = this.server(config);
    service(this, { role: "server", ports, ...exposed(this, config.service), workload: server });
    this.endpoint = endpoint(this, ports.http);
    this.registerOutputs({});
  }

  private server(config: Config["${key}"]) {
    return deployment(this, {
      replicas: config.replicas,
      pod: {
        user,
        role: "server",
        containers: {
          server: {
            image: this.image(config.image),
            command: ["${name}"],
            ports,
            resources: config.resources,
            mounts: { "/tmp": "tmp" },
            startup: httpProbe("/", "http", { every: 2, failures: 150 }),
            readiness: httpProbe("/", "http"),
            liveness: httpProbe("/", "http", lenientLiveness),
            preStop: drain,
          },
        },
        volumes: { tmp: scratch({ size: "64Mi" }) },
      },
    });
  }
}
`;

const programTest = ({
  key,
  name,
  title,
}: Names) => `// Proves the manifests of ${title}. It does not prove that the software starts from them: a file in test/cluster does.
import { beforeAll, expect, it } from "vitest";
import { rules } from "../../policy/rules/index.ts";
import { referenceProblems, selectorProblems } from "../../policy/rules/whole.ts";
import { type Evaluated, evaluated, named } from "./stacks.ts";

let program: Evaluated;
beforeAll(async () => {
  program = await evaluated("test", { changes: "${key}: { enabled: true }" });
});

it("is a server behind a Service", () => {
  expect(named(program, "Deployment", "${name}").spec.replicas).toBe(1);
  expect(named(program, "Service", "${name}").spec.ports).toMatchObject([{ name: "http", port: 8080 }]);
});

it("keeps every rule", () => {
  const broken = program.objects.flatMap((object) => Object.values(rules).flatMap((rule) => rule(object)));
  expect([...broken, ...selectorProblems(program.objects), ...referenceProblems(program.objects)]).toEqual([]);
});
`;

const page = ({ key, name, title }: Names) => `# ${title}

What it is: \`${name}\` in \`<stack>-apps\`, a Deployment behind the Service \`${name}\`, port 8080.

## Use it

\`\`\`yaml
data-platform:${key}: { enabled: true }
\`\`\`

\`\`\`sh
kubectl --namespace <stack>-apps port-forward svc/${name} 8080
\`\`\`

## Configure it

All keys: [configuration](configuration.md#${key.toLowerCase()}).

## Operate it

### Upgrade

Change \`${key}.image\`; pods are replaced one at a time.

### Scale

Raise \`${key}.replicas\`.

## Reference

| | |
|---|---|
| command | \`${name}\` |
| user | 1000 |
| data | none |
| writable paths | \`/tmp\` |
| Secret | none |
| probes | \`GET /\` |
`;

/**
 * Writes a component's files under `root`. Returns the remaining steps. Throws a UserError if the name is taken or
 * invalid.
 */
export function newComponent(root: string, name: string | undefined): string {
  if (!name || !/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(name))
    throw new UserError(
      `found ${name ? JSON.stringify(name) : "no name"}; expected a name of lower-case letters, digits and dashes such as schema-registry`,
    );
  const names = namesOf(name);
  const files = {
    [`components/${name}/schema.ts`]: schema(names),
    [`components/${name}/index.ts`]: component(names),
    [`test/program/${name}.test.ts`]: programTest(names),
    [`docs/${name}.md`]: page(names),
  };
  const taken = [`components/${name}`, ...Object.keys(files)].find((path) => existsSync(join(root, path)));
  if (taken) throw new UserError(`${taken}: exists; expected the name of a new component`);
  if (names.key in registry) throw new UserError(`${names.key}: is in components/registry.ts; expected a new name`);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  const { key, className } = names;
  return `Wrote ${Object.keys(files).join(", ")}.

Add to components/registry.ts:
  import { ${key} } from "./${name}/schema.ts";
  ${key},    in the list, after the components that it needs

Add to components/platform.ts:
  import { ${className} } from "./${name}/index.ts";
  .add("${key}", (given) => this.offer(new ${className}("${name}", given, child)))    after the components that it needs

Then set the image, command, ports and probes, and run
  npx biome check --write components/${name} && npx tsc --noEmit
  npm run docs
  npx vitest run --project program test/program/${name}.test.ts`;
}
