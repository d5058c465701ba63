/**
 * Ends this process when the one that started it is gone: a killed engine cannot tell its plugins to stop. The scripts
 * in `bin` note who that is; without them it is the parent that the process finds.
 */
export function endWithParent(): void {
  const parent = Number(process.env.PULUMI_ENGINE_PID ?? process.ppid);
  setInterval(() => {
    if (process.ppid !== parent) process.exit();
  }, 1000).unref();
}
