import { load } from "./launch/sources.mjs";

// For the Kubernetes provider's own process. The SDK would make an input of it: a change of the provider, and the next run
// without it another one.
delete process.env.PULUMI_K8S_UPSERT_EXISTING_OBJECTS;

/** What Pulumi runs: the program in index.ts. */
export default (await load("index.ts")).default;
