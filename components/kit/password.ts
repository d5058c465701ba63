import type { SecretKey } from "./secret.ts";

/*
 * Reading a password in a pod. The Secret may be an existing one: its value can have any printable character, and often
 * ends in the line end that an editor or `echo` added. These functions return source text that runs in the pod, so the
 * values never reach a manifest.
 *
 * Trailing line ends are removed. An empty value and any other control character is an error that names the key.
 */

const refusal = ({ title }: SecretKey): string =>
  `${title}: expected a value of printable characters; found none, or a control character among them`;

/**
 * Shell: removes trailing line ends from `variable`, the environment variable of `key`; exits if the value is invalid.
 */
export const shellPassword = (variable: string, key: SecretKey): string =>
  `
${variable}="$(printf %s "$${variable}")"
if [ -z "$${variable}" ] || [ "$(printf %s "$${variable}" | tr -d '[:cntrl:]')" != "$${variable}" ]; then
  echo "${refusal(key)}" >&2
  exit 1
fi
`.trim();

/** Python: an expression for the value of an environment variable without trailing line ends. Does not check it. */
export const pythonPassword = (variable: string): string => `os.environ["${variable}"].rstrip("\\n")`;

/** Python: statements that set `password` to that value; the program exits if it is invalid. */
export const checkedPythonPassword = (variable: string, key: SecretKey): string =>
  `
password = ${pythonPassword(variable)}
if not password.isprintable() or not password:
    raise SystemExit("${refusal(key)}")
`.trim();
