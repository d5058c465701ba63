import { writeFileSync } from "node:fs";
import { verificationPage } from "./verification.ts";

writeFileSync("docs/verification.md", verificationPage());
