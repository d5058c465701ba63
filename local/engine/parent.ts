/** Ends this process when the one that started it is gone: a killed engine cannot tell its plugins to stop. */
export function endWithParent(): void {
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) process.exit();
  }, 1000).unref();
}
