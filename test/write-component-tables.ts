import { readFileSync, writeFileSync } from "node:fs";
import { componentsPage, secretsPage } from "./component-tables.ts";

writeFileSync("docs/components.md", await componentsPage());
writeFileSync("docs/secrets.md", await secretsPage(readFileSync("docs/secrets.md", "utf8")));
