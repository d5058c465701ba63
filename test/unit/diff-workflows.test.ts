// Proves for the workflow files: permissions, where secrets go, that no outside text becomes a script, and that scripts
// parse.
// Does not run them.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { execaSync } from "execa";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { stackNames } from "../../render/stack.ts";

const folder = join(import.meta.dirname, "../../.github/workflows");

interface Step {
  name?: string;
  uses?: string;
  run?: string;
  env?: Record<string, string>;
}
interface Workflow {
  on: Record<string, unknown>;
  permissions: Record<string, string>;
  jobs: Record<string, { permissions?: unknown; env?: Record<string, string>; steps: Step[] }>;
}

const workflows = Object.fromEntries(
  readdirSync(folder).map((file) => [file, parse(readFileSync(join(folder, file), "utf8")) as Workflow]),
);
const stepsOf = (workflow: Workflow) => Object.values(workflow.jobs).flatMap(({ steps }) => steps);
const comparison = () => stepsOf(workflows["pull-request.yml"]!).find(({ run }) => run?.includes("./platform diff"))!;

it("there is one for pushes, one for pull requests, one for their comments and a nightly one", () => {
  expect(Object.keys(workflows).sort()).toEqual(["checks.yml", "comment.yml", "nightly.yml", "pull-request.yml"]);
});

describe.each(Object.entries(workflows))("%s", (file, workflow) => {
  it("has only the permissions that it needs", () => {
    const may = file === "comment.yml" ? { actions: "read", "pull-requests": "write" } : { contents: "read" };
    expect(workflow.permissions).toEqual(may);
    for (const job of Object.values(workflow.jobs)) expect(job.permissions).toBeUndefined();
    // It would run a fork's code with the secrets of this repository.
    expect(workflow.on).not.toHaveProperty("pull_request_target");
  });

  it("pins the version of each action", () => {
    for (const { uses } of stepsOf(workflow)) if (uses) expect(uses).toMatch(/^(actions|pulumi)\/[\w-]+@v\d+$/);
  });

  it("passes outside text to a script only by variables", () => {
    for (const { run } of stepsOf(workflow)) if (run) expect(run).not.toContain("${{");
  });

  it("has scripts that parse", () => {
    for (const { run } of stepsOf(workflow)) if (run) execaSync("bash", ["-n"], { input: run });
  });

  it("gives secrets only to the preview", () => {
    const withSecrets = stepsOf(workflow).filter((step) => JSON.stringify(step).includes("secrets."));
    expect(withSecrets.map(({ name }) => name)).toEqual(file === "pull-request.yml" ? ["Preview"] : []);
    for (const { env } of Object.values(workflow.jobs)) expect(JSON.stringify(env ?? {})).not.toContain("secrets.");
  });
});

it("a workflow with write permission runs no code of a pull request", () => {
  expect(stepsOf(workflows["comment.yml"]!).map(({ uses, run }) => uses ?? run?.includes("platform diff"))).toEqual([
    false,
  ]);
});

it("every stack is compared", () => {
  const [, named] = /--stack ([\w ]+?) --/.exec(comparison().run!)!;
  expect(named!.split(" ").sort()).toEqual(stackNames("."));
});
