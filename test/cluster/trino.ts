// A client of Trino, for the tests that use it.
import { address, whole } from "./kit.ts";

/** A response of Trino: some rows, and the URI of the next ones. */
interface Page {
  id: string;
  nextUri?: string;
  data?: unknown[][];
  stats: { state: string };
  error?: { message: string };
}

/** Where a statement is sent, and how. */
interface Sent {
  /** Namespace of Trino. Default: that of the stack with every component. */
  namespace?: string;
  /** Session properties, such as `spill_enabled=false`. */
  session?: string;
}

const user = { "X-Trino-User": "proof" };

const ask = async (uri: string, options: RequestInit = {}): Promise<Page> => {
  const response = await fetch(uri, { ...options, headers: { ...user, ...options.headers } });
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  return (await response.json()) as Page;
};

const url = async (namespace = whole.apps) => `http://${await address("trino", namespace)}:8080`;

/** Sends a statement to the coordinator. */
export const start = async (statement: string, { namespace, session }: Sent = {}): Promise<Page> =>
  ask(`${await url(namespace)}/v1/statement`, {
    method: "POST",
    body: statement,
    headers: session ? { "X-Trino-Session": session } : {},
  });

/** What the coordinator knows of a query, as JSON. */
export async function queryInfo(id: string, namespace?: string): Promise<string> {
  const response = await fetch(`${await url(namespace)}/v1/query/${id}`, { headers: user });
  return response.text();
}

/** The queries that the coordinator knows, also those that are over. */
export async function queries(namespace?: string): Promise<{ queryId: string; state: string }[]> {
  const response = await fetch(`${await url(namespace)}/v1/query`, { headers: user });
  return (await response.json()) as { queryId: string; state: string }[];
}

/** The states of a query's tasks on one node. */
export async function tasks(id: string, node: string, namespace?: string): Promise<string[]> {
  const states: string[] = [];
  JSON.parse(await queryInfo(id, namespace), (key, value) => {
    if (key === "taskStatus" && value.nodeId === node) states.push(value.state);
    return value;
  });
  return states;
}

/** Waits for a statement's rows, or throws its error. Trino holds each request for up to a second. */
export async function rows(page: Page): Promise<unknown[][]> {
  const { data = [], error, nextUri } = page;
  if (error) throw new Error(error.message);
  return nextUri ? [...data, ...(await rows(await ask(nextUri)))] : data;
}

/** The rows of a statement's result. */
export const sql = async (statement: string, sent?: Sent) => rows(await start(statement, sent));

/** The first value of each row. */
export const column = async (statement: string, sent?: Sent) => (await sql(statement, sent)).map(([value]) => value);
