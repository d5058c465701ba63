import { load } from "./launch/sources.mjs";

/** What Pulumi runs: the program in index.ts. */
export default (await load("index.ts")).default;
