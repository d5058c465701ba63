import type { SecretKey } from "./secret.ts";

/*
 * From a Secret into a server or a client. An existing Secret holds what someone typed: a password with any printable
 * character, often with the line end that an editor or `echo` has left after it. These functions return source text
 * that runs in the pod: the values never reach a manifest.
 *
 * Line ends after the value are not part of it. An empty value, and any other control character, is refused by name.
 */

const refusal = ({ title }: SecretKey): string =>
  `${title}: expected a value of printable characters; found none, or a control character among them`;

/** Shell: the environment variable that holds `key`, without line ends after it; ends the script if it is not usable. */
export const shellPassword = (variable: string, key: SecretKey): string =>
  `
${variable}="$(printf %s "$${variable}")"
if [ -z "$${variable}" ] || [ "$(printf %s "$${variable}" | tr -d '[:cntrl:]')" != "$${variable}" ]; then
  echo "${refusal(key)}" >&2
  exit 1
fi
`.trim();

/** Python: an expression of the same value. */
export const pythonPassword = (variable: string): string => `os.environ["${variable}"].rstrip("\\n")`;

/** Python: statements that set `password` to the same value, or end the program if it is not usable. */
export const checkedPythonPassword = (variable: string, key: SecretKey): string =>
  `
password = ${pythonPassword(variable)}
if not password.isprintable() or not password:
    raise SystemExit("${refusal(key)}")
`.trim();
