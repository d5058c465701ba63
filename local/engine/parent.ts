/**
 * Exits when the engine that started this process has ended: a killed engine cannot stop its plugins. The scripts in
 * `bin` pass the engine's PID; without them it is the parent's PID at the start.
 */
export function endWithParent(): void {
  const parent = Number(process.env.PULUMI_ENGINE_PID ?? process.ppid);
  setInterval(() => {
    if (process.ppid !== parent) process.exit();
  }, 1000).unref();
}
