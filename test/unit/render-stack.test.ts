// Proves how stack files are read, and the one message for each mistake in them.
// Does not prove that the program accepts the values: config.test.ts does.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { afterEach, beforeEach, expect, test } from "vitest";
import { redacted } from "../../render/evaluate.ts";
import { run } from "../../render/run.ts";
import { readStack, redactEncrypted, refuseEncrypted } from "../../render/stack.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "stack-"));
  writeFileSync(join(root, "Pulumi.yaml"), "name: data-platform\n");
});
afterEach(() => rmSync(root, { recursive: true }));

const read = (text: string) => {
  writeFileSync(join(root, "Pulumi.dev.yaml"), text);
  return readStack(root, "dev");
};

test("keys without a namespace are the project's", () => {
  expect(read("config:\n  redis: {a: 1}\n  kubernetes:context: c\n").config).toEqual({
    "data-platform:redis": { a: 1 },
    "kubernetes:context": "c",
  });
});

test("an empty file is a stack with nothing configured", () => {
  expect(read("").config).toEqual({});
});

test.each([
  ["config: [a]\n", 'Pulumi.dev.yaml: config: found ["a"]; expected keys and values'],
  ["config: 'a\n", "Pulumi.dev.yaml: Missing closing 'quote at line 2, column 1"],
])("refuses %j", (text, message) => {
  expect(() => read(text)).toThrow(new RegExp(`^${message.replace(/[[\]]/g, "\\$&")}$`));
});

test("lists the existing stacks", () => {
  writeFileSync(join(root, "Pulumi.prod.yaml"), "");
  expect(() => readStack(root, "prd")).toThrow("stack prd: there is no Pulumi.prd.yaml; stacks here: prod");
});

test("an encrypted value is refused for a run, and replaced by a placeholder for display", () => {
  const file = read("config:\n  redis:\n    auth: {password: {secure: v1:xyz}}\n");
  expect(() => refuseEncrypted(file, "do otherwise")).toThrow(
    "stack dev: data-platform:redis.auth.password: found an encrypted value, which only the Pulumi engine can read; do otherwise",
  );
  expect(redactEncrypted(file).config).toEqual({
    "data-platform:redis": { auth: { password: "REDACTED-data-platform-redis-auth-password" } },
  });
});

test("an error of the configuration keeps its message, a defect of the program its type", async () => {
  const file = read("");
  const wrong = run(() => Promise.reject(new pulumi.RunError("stack dev: all wrong")), file, { random: redacted });
  await expect(wrong).rejects.toMatchObject({ name: "ConfigError", message: "stack dev: all wrong" });
  const broken = run(() => Promise.reject(new TypeError("oops")), file, { random: redacted });
  await expect(broken).rejects.toMatchObject({ name: "TypeError" });
});
