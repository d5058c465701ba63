import { thisMachine } from "./components/kind/cluster.ts";
import { Kind } from "./components/kind/index.ts";
import { Platform } from "./components/platform.ts";
import { load, makesCluster } from "./config/load.ts";
import { transforms as own } from "./transforms.ts";

/**
 * The Pulumi program. It loads the stack's configuration and creates the platform; the outputs are addresses and names of
 * Secrets, never a password.
 *
 * Pulumi calls it without arguments. With `clusterIsThere` it creates no cluster: for tools that evaluate it without Pulumi's
 * engine. `transforms` change the components' objects; by default those of transforms.ts.
 */
export default function program({ clusterIsThere = false, transforms = own } = {}) {
  const loaded = load();
  const { protectData } = loaded.config.global;
  const kind =
    clusterIsThere || !makesCluster(loaded) ? undefined : new Kind("kind", { machine: thisMachine(), protectData });
  const { endpoints, secrets, namespaces } = new Platform(loaded, kind, transforms);
  return { endpoints, secrets, namespaces };
}
