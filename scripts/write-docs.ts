import { readFileSync, writeFileSync } from "node:fs";
import { editorSchema, referencePage } from "../config/reference.ts";
import { evaluated } from "../test/program/stacks.ts";
import { securityPage } from "../test/scanners/compare.ts";
import { verificationPage } from "../test/verification.ts";
import { componentsPage, secretsPage } from "./component-tables.ts";
import { licencesPage } from "./licences.ts";
import { networkFlowsPage } from "./network-flows.ts";

writeFileSync("docs/configuration.md", referencePage());
writeFileSync("config/stack.schema.json", editorSchema());
writeFileSync("docs/components.md", await componentsPage());
writeFileSync("docs/secrets.md", await secretsPage(readFileSync("docs/secrets.md", "utf8")));
writeFileSync("docs/network-flows.md", await networkFlowsPage("test"));
const [test, prod] = [(await evaluated("test")).objects, (await evaluated("prod")).objects];
writeFileSync("docs/security.md", securityPage(readFileSync("docs/security.md", "utf8"), { test, prod }));
writeFileSync("docs/licences.md", licencesPage());
writeFileSync("docs/verification.md", verificationPage());
