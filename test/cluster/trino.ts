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

const ask = async (uri: string, options: RequestInit = {}): Promise<Page> => {
  const response = await fetch(uri, { ...options, headers: { "X-Trino-User": "proof" } });
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  return (await response.json()) as Page;
};

/** Sends a statement to the coordinator. */
export const start = async (statement: string): Promise<Page> =>
  ask(`http://${await address("trino", whole.apps)}:8080/v1/statement`, { method: "POST", body: statement });

/** Waits for a statement's rows, or throws its error. Trino holds each request for up to a second. */
export async function rows(page: Page): Promise<unknown[][]> {
  const { data = [], error, nextUri } = page;
  if (error) throw new Error(error.message);
  return nextUri ? [...data, ...(await rows(await ask(nextUri)))] : data;
}

/** The rows of a statement's result. */
export const sql = async (statement: string) => rows(await start(statement));

/** The first value of each row. */
export const column = async (statement: string) => (await sql(statement)).map(([value]) => value);
