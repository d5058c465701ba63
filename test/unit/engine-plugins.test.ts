// Proves that the plugins of the checkout start and answer the engine's calls.
// Does not prove what an engine does with them: the cluster tests do.
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { credentials, type ServiceError } from "@grpc/grpc-js";
import languageGrpc from "@pulumi/pulumi/proto/language_grpc_pb.js";
import language from "@pulumi/pulumi/proto/language_pb.js";
import providerGrpc from "@pulumi/pulumi/proto/provider_grpc_pb.js";
import provider from "@pulumi/pulumi/proto/provider_pb.js";
import { specialSecretSig, specialSigKey } from "@pulumi/pulumi/runtime/rpc.js";
import { execa, type ResultPromise } from "execa";
import struct from "google-protobuf/google/protobuf/struct_pb.js";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const started: ResultPromise[] = [];
let home = "";

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "plugins-"));
});
afterEach(async () => {
  for (const child of started.splice(0)) {
    child.kill();
    await child.catch(() => {});
  }
  rmSync(home, { recursive: true });
});

/** Starts a plugin in another working directory, and returns the address that it prints. */
async function start(name: string): Promise<string> {
  const child = execa(resolve("local/engine/bin", name), ["127.0.0.1:9"], { cwd: home, reject: false });
  started.push(child);
  const [port] = await once(child.stdout, "data");
  return `127.0.0.1:${String(port).trim()}`;
}

/** A client's call as a promise. */
const call = <Response>(send: (done: (error: ServiceError | null, response?: Response) => void) => unknown) =>
  new Promise<Response | undefined>((done, fail) => {
    send((error, response) => (error ? fail(error) : done(response)));
  });

describe("pulumi-resource-random", () => {
  it("creates a password that is marked as a secret, and refuses other resources by name", async () => {
    const client = new providerGrpc.ResourceProviderClient(
      await start("pulumi-resource-random"),
      credentials.createInsecure(),
    );
    const create = (type: string) => {
      const request = new provider.CreateRequest();
      request.setUrn(`urn:pulumi:dev::data-platform::random:index/${type}::one`);
      request.setProperties(struct.Struct.fromJavaScript({ length: 8, special: false }));
      return call<InstanceType<typeof provider.CreateResponse>>((done) => client.create(request, done));
    };
    const made = await create("randomPassword:RandomPassword");
    expect(made?.getId()).toBe("none");
    expect(made?.getProperties()?.toJavaScript().result).toEqual({
      [specialSigKey]: specialSecretSig,
      value: expect.stringMatching(/^[A-Za-z0-9]{8}$/),
    });
    await expect(create("randomPet:RandomPet")).rejects.toThrow("makes RandomPassword and RandomBytes only");
    client.close();
  });
});

describe("pulumi-language-nodejs", () => {
  /** Runs a project in `home` with `script` as its SDK, which starts the program. */
  async function run(script: string, options: Record<string, string | boolean>) {
    const sdk = join(home, "node_modules/@pulumi/pulumi/cmd/run");
    mkdirSync(sdk, { recursive: true });
    writeFileSync(join(sdk, "index.js"), script);
    const client = new languageGrpc.LanguageRuntimeClient(
      await start("pulumi-language-nodejs"),
      credentials.createInsecure(),
    );
    const info = new language.ProgramInfo();
    info.setProgramDirectory(home);
    info.setRootDirectory(home);
    info.setEntryPoint("index.ts");
    info.setOptions(struct.Struct.fromJavaScript(options));
    const request = new language.RunRequest();
    request.setInfo(info);
    request.setProject("data-platform");
    request.setStack("dev");
    request.setPwd(home);
    request.setDryrun(true);
    request.setParallel(16);
    request.setMonitorAddress("127.0.0.1:8");
    request.getConfigMap().set("data-platform:key", "value");
    request.setConfigsecretkeysList(["data-platform:key"]);
    const response = await call<InstanceType<typeof language.RunResponse>>((done) => client.run(request, done));
    client.close();
    return response;
  }

  it("starts the project's own SDK with the stack, its configuration and the options of Pulumi.yaml", async () => {
    const script = `
      const { PULUMI_CONFIG, PULUMI_CONFIG_SECRET_KEYS, PULUMI_NODEJS_TYPESCRIPT } = process.env;
      const call = { node: process.execArgv, args: process.argv.slice(2), cwd: process.cwd() };
      const env = { PULUMI_CONFIG, PULUMI_CONFIG_SECRET_KEYS, PULUMI_NODEJS_TYPESCRIPT };
      require("node:fs").writeFileSync("call.json", JSON.stringify({ ...call, env }));
    `;
    const response = await run(script, { typescript: false, nodeargs: "--no-warnings --title p" });
    expect(response?.toObject()).toEqual({ error: "", bail: false });
    const args = [
      ...["--monitor", "127.0.0.1:8", "--engine", "127.0.0.1:9", "--project", "data-platform", "--stack", "dev"],
      ...["--parallel", "16", "--pwd", home, "--root-directory", home, "--dry-run", "index.ts"],
    ];
    expect(JSON.parse(readFileSync(join(home, "call.json"), "utf8"))).toEqual({
      node: ["--no-warnings", "--title", "p"],
      args,
      cwd: home,
      env: {
        PULUMI_CONFIG: '{"data-platform:key":"value"}',
        PULUMI_CONFIG_SECRET_KEYS: '["data-platform:key"]',
        PULUMI_NODEJS_TYPESCRIPT: "false",
      },
    });
  });

  it.each([
    [0, { error: "", bail: false }],
    [32, { error: "", bail: true }],
    [3, { error: "the program ended with 3", bail: false }],
  ])("reports the meaning of exit code %d", async (code, expected) => {
    expect((await run(`process.exit(${code})`, {}))?.toObject()).toEqual(expected);
  });
});

it.each(["pulumi-resource-random", "pulumi-language-nodejs"])("%s ends when the engine is killed", async (name) => {
  const plugin = `"${resolve("local/engine/bin", name)}" 127.0.0.1:9 >port`;
  const engine = execa("sh", ["-c", `${plugin} & echo $!; wait`], { cwd: home, reject: false });
  started.push(engine);
  const pid = Number(String((await once(engine.stdout, "data"))[0]));
  await expect.poll(() => readFileSync(join(home, "port"), "utf8"), { timeout: 20_000 }).toMatch(/^\d+$/m);
  expect(isRunning(pid)).toBe(true);
  engine.kill("SIGKILL");
  await expect.poll(() => isRunning(pid), { timeout: 20_000 }).toBe(false);
});

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
