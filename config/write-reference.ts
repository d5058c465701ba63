import { writeFileSync } from "node:fs";
import { editorSchema, referencePage } from "./reference.ts";

writeFileSync("docs/configuration.md", referencePage());
writeFileSync("config/stack.schema.json", editorSchema());
