import { UserError } from "../config/errors.ts";
import { newComponent } from "./new-component.ts";

try {
  console.log(newComponent(".", process.argv[2]));
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
