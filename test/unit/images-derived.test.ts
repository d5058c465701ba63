// Proves the name of Airflow's image with a stack's Python packages, that the local cluster builds it from the configured
// image, and which commands `./platform images build-commands` prints.
// Does not prove that an image is built: Docker is a script here. The build step of the Dockerfile was run by hand, in an environment of
// Python with the packages of the base image.
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { buildCommands } from "../../cli/build-commands.ts";
import { localWork } from "../../cli/up.ts";
import { withPackages } from "../../components/airflow/packages.ts";
import type { DerivedImage } from "../../components/kit/image.ts";
import { derivedImageStep, withArguments } from "../../local/images/derived.ts";
import { imagesUnder } from "../../local/images/dockerfile.ts";
import { evaluated } from "../program/stacks.ts";

const image = "apache/airflow:3.3.2";
const packages = ["pandas==2.3.3", "apache-airflow-providers-http==5.4.0"];
const of = (more: Partial<Parameters<typeof withPackages>[0]> = {}) =>
  withPackages({ image, packages, ...more }) as DerivedImage;

describe("the image with packages", () => {
  it("is none without packages", () => {
    expect(withPackages({ image, packages: [] })).toBeUndefined();
  });

  it("has a tag that changes with the packages and the image, and not with their order", () => {
    expect(of().reference).toMatch(/^data-platform\/airflow:3\.3\.2-[0-9a-f]{8}$/);
    expect(of({ packages: [...packages].reverse() })).toEqual(of());
    const others = [
      { packages: ["pandas==2.3.4"] },
      { image: "apache/airflow:3.3.3" },
      { image: `${image}@sha256:${"a".repeat(64)}` },
    ];
    expect(new Set([of(), ...others.map(of)].map(({ reference }) => reference)).size).toBe(4);
  });

  it("is what every pod of Airflow names, in the mirror if there is one", async () => {
    const named = async (global: string) => {
      const changes = `airflow: { packages: ${JSON.stringify(packages)} }\nglobal: ${global}`;
      const { objects } = await evaluated("test", { changes });
      const text = JSON.stringify(objects.filter(({ metadata }) => metadata.name.startsWith("airflow-")));
      return [...new Set([...text.matchAll(/"image":"([^"]+)"/g)].map(([, found]) => found))];
    };
    expect(await named("{}")).toEqual([of().reference]);
    expect(await named("{ imageRegistry: registry.example.com/mirror }")).toEqual([
      `registry.example.com/mirror/${of().reference}`,
    ]);
  });
});

it("gives a Dockerfile its arguments", () => {
  expect(withArguments("ARG A=x\nFROM $A\nARG B\nRUN echo $B\n", { A: "y:1", B: "a b" })).toBe(
    'ARG A="y:1"\nFROM $A\nARG B="a b"\nRUN echo $B\n',
  );
});

it("is built on the configured image, by tag or by digest", () => {
  const dockerfile = readFileSync("components/airflow/images/airflow-packages/Dockerfile", "utf8");
  for (const base of [image, `registry.example.com/own/airflow@sha256:${"a".repeat(64)}`])
    expect(imagesUnder(withArguments(dockerfile, of({ image: base }).args))).toEqual([base]);
});

describe("the local cluster", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "images-derived-"));
    vi.stubEnv("XDG_CACHE_HOME", folder);
    vi.stubEnv("PLATFORM_IMAGES", "pull");
    vi.stubEnv("PATH", `${folder}:${process.env.PATH}`);
  });
  afterEach(() => {
    vi.unstubAllEnvs();
    rmSync(folder, { recursive: true });
  });
  /** A Docker that writes what it is asked to build, and does what `then` says. */
  const docker = (then: string) => {
    const script = `#!/bin/sh
case "$1" in
version) echo 20.10.24 ;;
build) for last; do :; done; echo "$@" > ${folder}/arguments; cp "$last/Dockerfile" ${folder}/built; ${then} ;;
esac
`;
    writeFileSync(join(folder, "docker"), script);
    chmodSync(join(folder, "docker"), 0o755);
  };

  it("builds it from the configured image, and once", () => {
    const work = localWork({ cluster: "embedded", why: "" }, ["redis:8.2.10", of().reference], [], {}, [of()]);
    const titles = JSON.stringify(work);
    expect(titles.split(of().reference)).toHaveLength(2);
    expect(titles).toContain("apache/airflow:3.3.2 with apache-airflow-providers-http==5.4.0, pandas==2.3.3");
  });

  it("fails with the key and the packages, and what pip said", async () => {
    docker("echo 'ERROR: No matching distribution found for pandas==2.3.3'; exit 1");
    const step = derivedImageStep(of(), true);
    await expect(step.run(() => {})).rejects.toThrow(
      /^airflow\.packages: the image of apache\/airflow:3\.3\.2 with apache-airflow-providers-http==5\.4\.0, pandas==2\.3\.3 cannot be built; expected packages that fit together:\n[\s\S]*No matching distribution found/,
    );
    expect(readFileSync(join(folder, "built"), "utf8")).toMatch(
      /^ARG AIRFLOW="apache\/airflow:3\.3\.2"$[\s\S]*^ARG PACKAGES="apache-airflow-providers-http==5\.4\.0 pandas==2\.3\.3"$/m,
    );
    expect(readFileSync(join(folder, "arguments"), "utf8")).toContain(`--tag localhost:5001/${of().reference} `);
  });
});

describe("./platform images build-commands", () => {
  const folder = mkdtempSync(join(tmpdir(), "images-"));
  afterEach(() => void vi.restoreAllMocks());
  const file = (text: string) => {
    const path = join(folder, "stack.yaml");
    writeFileSync(path, text);
    return path;
  };

  it("prints how to build the images that no registry has, under their names in the mirror", async () => {
    const lines: string[] = [];
    vi.spyOn(console, "log").mockImplementation((line: string) => void lines.push(line));
    const configFile = file(`config:
  data-platform:global: { imageRegistry: registry.example.com/mirror, cluster: eks }
  data-platform:airflow: { packages: ${JSON.stringify(packages)} }
`);
    await buildCommands({ stack: "prod", configFile });
    const name = `registry.example.com/mirror/${of().reference}`;
    expect(lines).toContain(
      `docker build --tag ${name} --build-arg 'AIRFLOW=apache/airflow:3.3.2' --build-arg 'PACKAGES=apache-airflow-providers-http==5.4.0 pandas==2.3.3' components/airflow/images/airflow-packages\ndocker push ${name}`,
    );
    expect(lines).toContain(
      "docker build --tag registry.example.com/mirror/data-platform/superset:6.1.0 components/superset/images/superset-drivers\ndocker push registry.example.com/mirror/data-platform/superset:6.1.0",
    );
    expect(lines.join("\n")).not.toContain("redis");
  });

  it("needs a registry to push them to", async () => {
    await expect(buildCommands({ stack: "prod", configFile: file("config: {}\n") })).rejects.toThrow(
      "stack prod: global.imageRegistry: found nothing; expected the registry that the cluster pulls from, to push these images to. A local cluster builds them by itself",
    );
  });
});
