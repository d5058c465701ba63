import { createRequire } from "node:module";
import { join } from "node:path";
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData, status } from "@grpc/grpc-js";
import grpc from "@pulumi/pulumi/proto/language_grpc_pb.js";
import type { LanguageHandshakeRequest, RunRequest, RunResponse } from "@pulumi/pulumi/proto/language_pb.js";
import language from "@pulumi/pulumi/proto/language_pb.js";
import plugin from "@pulumi/pulumi/proto/plugin_pb.js";
import { execa, parseCommandString } from "execa";
import { endWithParent } from "./parent.ts";

/** The address of the engine: the last argument, unless the handshake sends another. */
let engine = process.argv.at(-1) ?? "";

/** Starts the program as Pulumi's own language host does: with the SDK's `cmd/run`, in a separate process. */
async function run(request: RunRequest): Promise<RunResponse> {
  const info = request.getInfo();
  const directory = info?.getProgramDirectory() || request.getPwd();
  const options = info?.getOptions()?.toJavaScript() ?? {};
  const flags = {
    monitor: request.getMonitorAddress(),
    engine,
    organization: request.getOrganization(),
    project: request.getProject(),
    stack: request.getStack(),
    parallel: String(request.getParallel()),
    pwd: request.getPwd(),
    "root-directory": info?.getRootDirectory() ?? "",
  };
  const args = [
    ...parseCommandString(typeof options.nodeargs === "string" ? options.nodeargs : ""),
    createRequire(join(directory, "package.json")).resolve("@pulumi/pulumi/cmd/run"),
    ...Object.entries(flags).flatMap(([name, value]) => (value ? [`--${name}`, value] : [])),
    ...(request.getDryrun() ? ["--dry-run"] : []),
    info?.getEntryPoint() || request.getProgram(),
    ...request.getArgsList(),
  ];
  const { exitCode } = await execa(process.execPath, args, {
    cwd: directory,
    stdin: "ignore",
    stdout: "inherit",
    stderr: "inherit",
    reject: false,
    env: {
      PULUMI_CONFIG: JSON.stringify(Object.fromEntries(request.getConfigMap().toArray())),
      PULUMI_CONFIG_SECRET_KEYS: JSON.stringify(request.getConfigsecretkeysList()),
      PULUMI_NODEJS_TYPESCRIPT: String(options.typescript !== false),
    },
  });
  const response = new language.RunResponse();
  // The SDK's exit code after it has reported the error to the user.
  if (exitCode === 32) response.setBail(true);
  else if (exitCode !== 0) response.setError(`the program ended with ${exitCode ?? "a signal"}`);
  return response;
}

endWithParent();
const server = new Server();
server.addService(grpc.LanguageRuntimeService, {
  handshake(call: ServerUnaryCall<LanguageHandshakeRequest, unknown>, done: sendUnaryData<unknown>) {
    engine = call.request.getEngineAddress() || engine;
    done(null, new language.LanguageHandshakeResponse());
  },
  getPluginInfo: (_call: unknown, done: sendUnaryData<unknown>) => done(null, new plugin.PluginInfo()),
  // None: the engine looks for a provider at its first resource. The program depends on more providers than it uses.
  getRequiredPackages: (_call: unknown, done: sendUnaryData<unknown>) =>
    done(null, new language.GetRequiredPackagesResponse()),
  run: (call: ServerUnaryCall<RunRequest, unknown>, done: sendUnaryData<unknown>) =>
    void run(call.request).then(
      (response) => done(null, response),
      (error) => done({ code: status.UNKNOWN, details: String(error) }),
    ),
});
server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  console.log(String(port));
});
