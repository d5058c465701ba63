import { createServer } from "node:net";
import { execa } from "execa";
import { UserError } from "../step.ts";

/** An address and port that a daemon listens on. */
export type Listen = readonly [address: string, port: number];

/** Throws a UserError with the process that already listens on one of these ports. */
export async function checkFree(who: string, listens: readonly Listen[]): Promise<void> {
  for (const [address, port] of listens) {
    if (await isFree(address, port)) continue;
    const { stdout = "" } = await execa("ss", ["-Htlnp", `sport = :${port}`], { reject: false });
    const [, program, pid] = /users:\(\("([^"]+)",pid=(\d+)/.exec(stdout) ?? [];
    const holder = pid ? `${program} (process ${pid})` : "another process";
    throw new UserError(`${who} needs port ${port} of ${address}, and ${holder} has it. Stop that first.`);
  }
}

function isFree(host: string, port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) =>
      error.code === "EADDRINUSE" ? resolve(false) : reject(error),
    );
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
