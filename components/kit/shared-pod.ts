import type * as pulumi from "@pulumi/pulumi";
import type { Container, Pod, Volume } from "./pod.ts";

/** What the pods of one component have in common. */
export interface SharedPod {
  image: pulumi.Input<string>;
  env: NonNullable<Container<never>["env"]>;
  checksums: NonNullable<Pod<never>["checksums"]>;
  /** Path in the container → one of `volumes`. */
  mounts: Record<string, string>;
  volumes: Record<string, Volume>;
}
