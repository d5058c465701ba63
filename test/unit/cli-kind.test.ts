// Proves that the command line and the Pulumi program do not take kind's cluster out of each other's hands. kind is a
// script here; neither a cluster nor Docker is.
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { refuseOwnCluster } from "../../cli/pulumi.ts";
import { contextOf } from "../../cli/target.ts";
import { kindUpSteps, kubeconfigPath } from "../../local/cluster/index.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "cli-kind-"));
  vi.stubEnv("PLATFORM_STATE", join(folder, "state"));
  vi.stubEnv("PATH", `${folder}:${process.env.PATH}`);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

/** kind with one cluster. */
function clusterCalled(name: string) {
  writeFileSync(join(folder, "kind"), `#!/bin/sh\ntest "$1 $2" != "get clusters" || echo ${name}\n`);
  chmodSync(join(folder, "kind"), 0o755);
}

function kubeconfigFor(context: string) {
  mkdirSync(dirname(kubeconfigPath()), { recursive: true });
  const contexts = [{ name: context, context: { cluster: "c", user: "u" } }];
  const config = { apiVersion: "v1", kind: "Config", "current-context": context, contexts, clusters: [], users: [] };
  writeFileSync(kubeconfigPath(), JSON.stringify(config));
}

describe("the context that Pulumi is told", () => {
  it("is the local cluster's own, so that a stack that says cluster: kind makes no other", () => {
    kubeconfigFor("kind-data-platform");
    expect(contextOf({ cluster: "kind", why: "" })).toBe("kind-data-platform");
  });

  it("is the one that was asked for, whatever cluster is there", () => {
    kubeconfigFor("kind-data-platform");
    expect(contextOf({ cluster: "context", context: "mine", why: "" })).toBe("mine");
  });

  it("is none where there is no cluster yet", () => {
    expect(contextOf({ cluster: "kind", why: "" })).toBeUndefined();
  });
});

describe("a kind cluster of the platform's name", () => {
  const skipped = () => kindUpSteps().find(({ title }) => title === "Create the kind cluster")!.skip!();

  it("is made where there is none", async () => {
    clusterCalled("another");
    expect(await skipped()).toBe(false);
  });

  it("is taken as it is where this command made it", async () => {
    clusterCalled("data-platform");
    kubeconfigFor("kind-data-platform");
    expect(await skipped()).toBe("exists already");
  });

  it("is left alone where another did, with two ways on", async () => {
    clusterCalled("data-platform");
    await expect(skipped()).rejects.toThrow(
      "kind has a cluster data-platform that this command did not make, or not to its end: --context kind-data-platform uses it, " +
        "and `kind delete cluster --name data-platform` takes it away",
    );
  });
});

describe("a stack whose cluster is among its resources", () => {
  it("is refused, for with a cluster named from outside Pulumi would delete it", () => {
    const resources = [{ type: "pulumi:pulumi:Stack" }, { type: "data-platform:index:Kind" }];
    expect(() => refuseOwnCluster("dev", resources)).toThrow(
      "stack dev: Pulumi made its kind cluster, which is a part of the stack; expected `pulumi up --stack dev` or `pulumi destroy --stack dev`",
    );
    expect(() => refuseOwnCluster("dev", resources.slice(0, 1))).not.toThrow();
    expect(() => refuseOwnCluster("dev")).not.toThrow();
  });
});
