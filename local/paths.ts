import { homedir } from "node:os";
import { join } from "node:path";

/** What can be made again: binaries and images, keyed by their pins. `PLATFORM_CACHE` moves it. */
export const cacheDir = (): string =>
  process.env.PLATFORM_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "data-platform");

/** What cannot: the cluster's etcd, volumes, certificates and logs. `PLATFORM_STATE` moves it. */
export const stateDir = (): string =>
  process.env.PLATFORM_STATE ?? join(process.env.XDG_STATE_HOME ?? join(homedir(), ".local", "state"), "data-platform");
