import { homedir } from "node:os";
import { join } from "node:path";

/** Folder of binaries and images, which can be made again. `PLATFORM_CACHE` moves it. */
export const cacheDir = (): string =>
  process.env.PLATFORM_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "data-platform");

/** Folder of the cluster's etcd, volumes, certificates and logs, which cannot be made again. `PLATFORM_STATE` moves it. */
export const stateDir = (): string =>
  process.env.PLATFORM_STATE ?? join(process.env.XDG_STATE_HOME ?? join(homedir(), ".local", "state"), "data-platform");
