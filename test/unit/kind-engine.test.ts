// Proves on the real Pulumi engine when kind's commands run, and that the kubeconfig is in no log and encrypted in the
// state. Skipped, with the reason, if no engine with the command provider is found.
// Does not prove that a cluster starts: a script replaces kind and records how it is called.
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { execa, execaSync } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { kindConfig, kindHosts } from "../../components/kind/cluster.ts";

const plugins = execaSync("pulumi", ["plugin", "ls", "--json"], { reject: false });
const engine = plugins.exitCode === 0 && /"name": *"command"/.test(plugins.stdout);
if (!engine)
  console.log("skipped: no `pulumi` with its provider of commands, so kind's commands did not run on the engine");

const script = `#!/bin/sh
set -eu
echo "$*" >> "$FAKE_KIND/calls"
case "$1 $2" in
  "create cluster")
    test ! -e "$FAKE_KIND/cluster" || { echo "node(s) already exist for a cluster" >&2; exit 1; }
    cat > "$FAKE_KIND/cluster"
    echo "Ready" && echo "key: very-secret" > "$6" ;;
  "get kubeconfig") echo "key: very-secret" ;;
  "delete cluster") rm "$FAKE_KIND/cluster" ;;
esac
`;

const program = `
import { kindCluster } from ${JSON.stringify(resolve("components/kind/index.ts"))};
import * as pulumi from "@pulumi/pulumi";
export default () => {
  const config = new pulumi.Config();
  const machine = { home: config.require("home"), certs: config.require("certs"), cgroupV1: false };
  return { kubeconfig: kindCluster("kind", { machine, protectData: false }, {}).stdout };
};
`;

describe.skipIf(!engine)("kind's commands on the Pulumi engine", () => {
  const home = mkdtempSync(join(tmpdir(), "kind-engine-"));
  const [project, fake, certs] = ["project", "fake", "certs"].map((name) => join(home, name)) as [
    string,
    string,
    string,
  ];

  const pulumi = async (...args: string[]) => {
    const { exitCode, all } = await execa("pulumi", [...args, "--non-interactive", "--color", "never"], {
      cwd: project,
      reject: false,
      all: true,
      env: {
        PATH: `${fake}:${process.env.PATH}`,
        FAKE_KIND: fake,
        TMPDIR: join(home, "tmp"),
        PULUMI_BACKEND_URL: `file://${join(home, "state")}`,
        PULUMI_CONFIG_PASSPHRASE: "only for this test",
        PULUMI_SKIP_UPDATE_CHECK: "true",
        PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
      },
    });
    if (exitCode !== 0) throw new Error(`pulumi ${args.join(" ")} ended with ${exitCode}:\n${all}`);
    return all;
  };
  const up = () => pulumi("up", "--yes", "--skip-preview", "--stack", "unit");
  /** Calls of kind since the last check. */
  const calls = () => {
    const path = join(fake, "calls");
    const lines = existsSync(path) ? readFileSync(path, "utf8").trim().split("\n") : [];
    rmSync(path, { force: true });
    return lines.map((line) => line.replace(/--kubeconfig \S+/, "--kubeconfig F"));
  };
  const state = () => readFileSync(join(home, "state/.pulumi/stacks/kind-engine/unit.json"), "utf8");

  beforeAll(async () => {
    for (const name of ["project", "fake", "state", "tmp"]) mkdirSync(join(home, name));
    writeFileSync(join(fake, "kind"), script);
    chmodSync(join(fake, "kind"), 0o755);
    const runtime = { name: "nodejs", options: { typescript: false, nodeargs: "--import tsx" } };
    writeFileSync(join(project, "Pulumi.yaml"), JSON.stringify({ name: "kind-engine", runtime, main: "index.ts" }));
    writeFileSync(join(project, "package.json"), JSON.stringify({ name: "kind-engine", type: "module" }));
    writeFileSync(join(project, "index.ts"), program);
    symlinkSync(resolve("node_modules"), join(project, "node_modules"));
    await pulumi("stack", "init", "unit");
    await pulumi("config", "set", "home", "/home/one", "--stack", "unit");
    await pulumi("config", "set", "certs", certs, "--stack", "unit");
  });

  afterAll(() => rmSync(home, { recursive: true, force: true }));

  it("creates nothing in a preview", async () => {
    expect(await pulumi("preview", "--stack", "unit")).toMatch(/kind-cluster\s+create/);
    expect(calls()).toEqual([]);
    expect(existsSync(certs)).toBe(false);
  });

  it("creates the cluster once, from its configuration, with the files that its nodes mount", async () => {
    await up();
    expect(calls()).toEqual(["create cluster --config - --kubeconfig F --wait 180s"]);
    expect(parse(readFileSync(join(fake, "cluster"), "utf8"))).toEqual(
      kindConfig({ home: "/home/one", certs, cgroupV1: false }),
    );
    for (const { path, content } of kindHosts()) expect(readFileSync(join(certs, path), "utf8")).toBe(content);
    await pulumi("up", "--yes", "--skip-preview", "--expect-no-changes", "--stack", "unit");
    expect(calls()).toEqual([]);
  });

  it("exports the kubeconfig as a secret, and writes it nowhere else", async () => {
    expect(await pulumi("stack", "output", "kubeconfig", "--stack", "unit")).toBe("[secret]");
    expect(await pulumi("stack", "output", "kubeconfig", "--show-secrets", "--stack", "unit")).toBe("key: very-secret");
    expect(state()).not.toContain("very-secret");
    expect((await execa("grep", ["-r", "very-secret", join(home, "tmp")], { reject: false })).stdout).toBe("");
  });

  it("deletes the cluster before it creates one from another configuration", async () => {
    await pulumi("config", "set", "home", "/home/two", "--stack", "unit");
    const output = await up();
    expect(output).not.toContain("very-secret");
    expect(calls()).toEqual([
      "delete cluster --name data-platform",
      "create cluster --config - --kubeconfig F --wait 180s",
    ]);
    expect(readFileSync(join(fake, "cluster"), "utf8")).toContain("/home/two");
  });

  it("deletes the cluster and then its files on destroy", async () => {
    await pulumi("destroy", "--yes", "--skip-preview", "--stack", "unit");
    expect(calls()).toEqual(["delete cluster --name data-platform"]);
    expect(existsSync(certs)).toBe(false);
    expect(existsSync(join(fake, "cluster"))).toBe(false);
  });
});
