import { main } from "@pulumi/pulumi/provider/server.js";
import { endWithParent } from "./parent.ts";
import { random } from "./random.ts";

endWithParent();
await main(random, process.argv.slice(2));
