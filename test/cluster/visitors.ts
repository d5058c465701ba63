/**
 * A separate process that requests a page with four clients in a loop, with one connection per request, until standard
 * input ends. Then it prints as JSON how often each heading or error came.
 */
import { text } from "node:stream/consumers";

const [url = ""] = process.argv.slice(2);
const seen: Record<string, number> = {};
let stopping = false;

async function visit(): Promise<string> {
  try {
    const answer = await fetch(url, { headers: { connection: "close" }, signal: AbortSignal.timeout(20_000) });
    const page = await answer.text();
    return answer.ok ? (/<h1>(.*?)<\/h1>/.exec(page)?.[1] ?? "a page without a heading") : `status ${answer.status}`;
  } catch (error) {
    return `failed: ${(error as Error & { cause?: Error }).cause?.message ?? (error as Error).message}`;
  }
}

async function visitor(): Promise<void> {
  // The last request begins after the end of standard input.
  for (let last = false; !last; ) {
    last = stopping;
    const what = await visit();
    seen[what] = (seen[what] ?? 0) + 1;
    // Four clients without a pause would take both processors of a small machine.
    await new Promise((done) => setTimeout(done, 50));
  }
}

const visitors = Promise.all([1, 2, 3, 4].map(visitor));
await text(process.stdin);
stopping = true;
await visitors;
console.log(JSON.stringify(seen));
