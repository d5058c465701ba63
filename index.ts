import { Kind } from "./components/kind/index.ts";
import { Platform } from "./components/platform.ts";
import { load, makesCluster } from "./config/load.ts";
import { thisMachine } from "./local/cluster/kind-config.ts";

/**
 * The Pulumi program: the stack's configuration in, the platform up, where to find it out. Never a secret.
 *
 * Pulumi calls it without arguments. Whoever evaluates it without Pulumi's engine has a cluster, or makes one by other
 * means, and says so.
 */
export default function program({ clusterIsThere = false } = {}) {
  const loaded = load();
  const { protectData } = loaded.config.global;
  const kind =
    clusterIsThere || !makesCluster(loaded) ? undefined : new Kind("kind", { machine: thisMachine(), protectData });
  const { endpoints, secrets, namespaces } = new Platform(loaded, kind);
  return { endpoints, secrets, namespaces };
}
