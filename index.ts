import { Platform } from "./components/platform.ts";
import { load } from "./config/load.ts";

/** The Pulumi program: the stack's configuration in, the platform up, where to find it out. Never a secret. */
export default function program() {
  const { endpoints, secrets, namespaces } = new Platform(load());
  return { endpoints, secrets, namespaces };
}
