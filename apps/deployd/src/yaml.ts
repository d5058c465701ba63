import { fileURLToPath } from "node:url";
import { run, type Share } from "./run.ts";

/** YAML or JSON to read: the text, or a file that has it. The path is for messages. */
export type Text = { path: string; text: string } | { path: string; file: string };

const reader = fileURLToPath(new URL("./yaml-reader.js", import.meta.url));
/** MiB of the reader's heap, in which parsed YAML takes about a hundred times its size. `share` also includes Node.js itself. */
const heap = 80;
/** Node.js 24 reserves 580 MiB of addresses that it never uses, Node.js 20 a third of that; the heap is what counts. */
const share: Share = { memory: 1024, file: 1, output: 4 };
const seconds = 30;

/** The Kubernetes objects in some texts, with those in lists, in their order. */
export const readObjects = (texts: Text[], signal: AbortSignal): Promise<unknown[]> => read("objects", texts, signal);

/** The documents of each text, as plain data. */
export const readDocuments = async (texts: Text[], signal: AbortSignal): Promise<unknown[][]> =>
  (await read("documents", texts, signal)) as unknown[][];

/** Throws if a JSON schema refers to anything outside of its file. */
export const checkSchemas = async (texts: Text[], signal: AbortSignal): Promise<void> => {
  await read("schemas", texts, signal);
};

async function read(want: "objects" | "documents" | "schemas", texts: Text[], signal: AbortSignal): Promise<unknown[]> {
  const args = [`--max-old-space-size=${heap}`, "--max-semi-space-size=4", reader];
  const input = JSON.stringify({ want, texts });
  const env = { PATH: "", HOME: "/nonexistent" };
  const output = await run(process.execPath, args, { seconds, signal, share, input, env }).catch(
    ({ message }: Error) => {
      // Every message of a process that runs out of memory means that the heap was full.
      if (/^needs more than/.test(message))
        throw new Error(`reading ${names(texts)} needs more than ${heap} MiB of memory`);
      throw new Error(message.replace(/^(no end after|printed)/, `reading ${names(texts)}: $1`));
    },
  );
  return JSON.parse(output) as unknown[];
}

const names = (texts: Text[]): string => {
  const [first] = texts;
  return texts.length === 1 && first ? first.path : `${first?.path} and ${texts.length - 1} more files`;
};
