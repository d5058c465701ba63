// A client of Superset's API, for the tests that use it.
import { address, leadsToPods, secret, whole } from "./kit.ts";

let url: string;
/** The headers of the administrator's session, after `logIn`. */
export let admin: Record<string, string>;

/** Calls the API, with the headers of a session or without a login. */
export const ask = (path: string, body?: unknown, headers: Record<string, string> = {}) =>
  fetch(`${url}/api/v1/${path}`, {
    headers: { "content-type": "application/json", ...headers },
    ...(body !== undefined && { method: "POST", body: JSON.stringify(body) }),
  });

export const login = (password: string) => ask("security/login", { username: "admin", password, provider: "db" });

/** Logs in: later calls are made as the administrator. Default: of the stack with every component. */
export async function logIn(namespace = whole.apps): Promise<void> {
  await leadsToPods("superset", 8088, namespace);
  url = `http://${await address("superset", namespace)}:8088`;
  const { password = "" } = await secret("superset-admin", namespace);
  const { access_token } = (await (await login(password)).json()) as { access_token: string };
  const authorization = `Bearer ${access_token}`;
  const csrf = await ask("security/csrf_token/", undefined, { authorization });
  const { result } = (await csrf.json()) as { result: string };
  admin = { authorization, "x-csrftoken": result, cookie: csrf.headers.getSetCookie()[0]!.split(";")[0]! };
}

export const asAdmin = async (path: string, body?: unknown) => {
  const answer = await ask(path, body, admin);
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${text}`);
  return JSON.parse(text);
};

interface Database {
  id: number;
  database_name: string;
}
export const databases = async (): Promise<Database[]> => (await asAdmin("database/")).result;

/** Runs a query in SQL Lab: in the web server, which returns the rows, or in a worker. */
export async function execute(name: string, sql: string, runAsync = false) {
  const { id } = (await databases()).find(({ database_name }) => database_name === name)!;
  return asAdmin("sqllab/execute/", { database_id: id, sql, runAsync });
}
