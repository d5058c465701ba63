import { load } from "./sources.mjs";

await load("cli/main.ts");
