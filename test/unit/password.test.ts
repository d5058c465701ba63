// Proves, by running them, that the pods' scripts read passwords of any printable characters with trailing line ends.
// Does not prove that the servers accept them: the cluster test does.
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { gitEnvironment, settings } from "../../components/airflow/manifests.ts";
import { checkedPythonPassword, shellPassword } from "../../components/kit/password.ts";
import type { SecretKey, TypedSecret } from "../../components/kit/secret.ts";
import { redisLogin, redisString } from "../../components/redis/server.ts";
import { parseConfig } from "../../config/problems.ts";

const key = (name = "password"): SecretKey => ({
  secret: pulumi.output("mine"),
  key: name,
  title: `stack dev: Secret mine, key ${name}`,
});

const characters = Array.from({ length: 0x7f - 0x20 }, (_, i) => String.fromCharCode(0x20 + i));
const printable = characters.join("");
const passwords = fc.string({ unit: fc.constantFrom(...characters), minLength: 1, maxLength: 80 });
const lineEnds = fc.constantFrom("", "\n", "\n\n");
const runs = {
  numRuns: 10,
  examples: [
    [printable, "\n"],
    ["ends in a backslash\\", ""],
    [" ", "\n"],
  ] as [string, string][],
};
const controls = ["", "\n", "a\tb", "a\nb", "a\r\n", "\u0001", "a\u007f"];

const started = (program: string, args: string[], env: Record<string, string>, input = "") =>
  spawnSync(program, args, { env: { PATH: String(process.env.PATH), ...env }, input, encoding: "utf8" });
const shell = (script: string, PASSWORD: string) => started("sh", ["-eu", "-c", script], { PASSWORD });
const python = (script: string, PASSWORD: string) => started("python3", ["-c", `import os\n${script}`], { PASSWORD });
const hasPython = started("python3", ["--version"], {}).status === 0;
const sha256 = (value: string) => createHash("sha256").update(value).digest("hex");

describe("in a shell", () => {
  it("a password loses only its trailing line ends", () => {
    const script = `${shellPassword("PASSWORD", key())}\nprintf %s "$PASSWORD"`;
    const check = (password: string, ends: string) => void expect(shell(script, password + ends).stdout).toBe(password);
    fc.assert(fc.property(passwords, lineEnds, check), runs);
  });

  it.each(controls)("%j is refused with the key's name, and not shown", (value) => {
    const { status, stderr } = shell(`${shellPassword("PASSWORD", key())}\necho went on`, value);
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr:
        "stack dev: Secret mine, key password: expected a value of printable characters; found none, or a control character among them\n",
    });
  });

  it("Redis accepts the hashes of the value with and without trailing line ends", () => {
    const check = (password: string, ends: string) =>
      void expect(shell(redisLogin("PASSWORD", key()), password + ends).stdout).toBe(
        `user default on #${sha256(password + ends)} #${sha256(password)} ~* &* +@all\n`,
      );
    fc.assert(fc.property(passwords, lineEnds, check), runs);
  });

  it("a string of redis.conf has each byte as a hexadecimal escape", () => {
    const check = (password: string) => {
      const { stdout } = shell(redisString("PASSWORD"), password);
      expect(stdout).toMatch(/^"(\\x[0-9a-f]{2})+"$/);
      expect(Buffer.from(stdout.replaceAll(/["\\x]/g, ""), "hex").toString()).toBe(password);
    };
    fc.assert(fc.property(passwords, check), { numRuns: 10, examples: [[printable], ["ä€😀"]] });
  });
});

describe.skipIf(!hasPython)("in Python (skipped without Python)", () => {
  it("a password loses only its trailing line ends", () => {
    const script = `${checkedPythonPassword("PASSWORD", key())}\nprint(password, end="")`;
    const check = (password: string, ends: string) =>
      void expect(python(script, password + ends).stdout).toBe(password);
    fc.assert(fc.property(passwords, lineEnds, check), runs);
  });

  it.each(controls)("%j is refused with the key's name, and not shown", (value) => {
    const { status, stderr } = python(`${checkedPythonPassword("PASSWORD", key())}\nprint("went on")`, value);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^stack dev: Secret mine, key password: expected a value of printable characters; .*\n$/);
  });

  it("is encoded in the address of Airflow's queue", () => {
    const server = { pods: { namespace: "dev-core", labels: {} }, ports: "any" } as const;
    const ready = { ready: [], revision: pulumi.output(""), server };
    const connection = { ...ready, password: key(), accessKey: key(), secretKey: key() };
    const queue = { ...connection, host: "redis.dev-core.svc", port: 6379, database: 1 };
    const logs = { ...connection, endpoint: "http://minio:9000", region: "us-east-1", bucket: "airflow" };
    const { airflow } = parseConfig("dev", {});
    const script = settings(airflow, { api: "http://airflow:8080", page: "" }, logs, queue)["queue_address.py"];
    const file = join(mkdtempSync(join(tmpdir(), "password-")), "queue_address.py");
    writeFileSync(file, script);
    const check = (password: string, ends: string) => {
      const { stdout } = started("python3", [file], { QUEUE_PASSWORD: password + ends });
      const { username, password: encoded, host, pathname } = new URL(stdout);
      expect([username, decodeURIComponent(encoded), host, pathname]).toEqual([
        "",
        password,
        "redis.dev-core.svc:6379",
        "/1",
      ]);
    };
    fc.assert(fc.property(passwords, lineEnds, check), runs);
  });
});

it("git gets the user and token of the Secret", () => {
  const { dags } = parseConfig("dev", {
    airflow: { dags: { git: { repository: "https://git.example.com/dags.git", existingSecret: "mine" } } },
  }).airflow;
  const access = { key } as unknown as TypedSecret<"username" | "password">;
  const plain = Object.entries(gitEnvironment(dags.git!, access)).flatMap(([name, value]) =>
    typeof value === "string" ? [[name, value] as const] : [],
  );
  const check = (password: string, ends: string) => {
    const env = {
      ...Object.fromEntries(plain),
      GIT_USERNAME: `me${ends}`,
      GIT_PASSWORD: password + ends,
      HOME: "/nowhere",
    };
    const output = execFileSync("git", ["credential", "fill"], {
      env: { PATH: String(process.env.PATH), ...env },
      input: "protocol=https\nhost=git.example.com\n\n",
      encoding: "utf8",
    });
    expect(output.split("\n")).toEqual(expect.arrayContaining(["username=me", `password=${password}`]));
  };
  fc.assert(fc.property(passwords, lineEnds, check), runs);
});
