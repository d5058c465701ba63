import { readFileSync, writeFileSync } from "node:fs";
import { editorSchema, referencePage } from "../config/reference.ts";
import { verificationPage } from "../test/verification.ts";
import { componentsPage, secretsPage } from "./component-tables.ts";
import { networkFlowsPage } from "./network-flows.ts";

writeFileSync("docs/configuration.md", referencePage());
writeFileSync("config/stack.schema.json", editorSchema());
writeFileSync("docs/components.md", await componentsPage());
writeFileSync("docs/secrets.md", await secretsPage(readFileSync("docs/secrets.md", "utf8")));
writeFileSync("docs/network-flows.md", await networkFlowsPage("test"));
writeFileSync("docs/verification.md", verificationPage());
