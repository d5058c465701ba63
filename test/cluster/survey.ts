// An application from outside the repository, for the tests that deploy and update one.
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { execa } from "execa";
import { expect, vi } from "vitest";
import { Visitor } from "./visitor.ts";

/** A patch that gives the front page another heading. */
export function heading(from: string, to: string): string {
  const path = "polls/templates/polls/index.html";
  const hunk = `@@ -1,4 +1,4 @@\n {% extends "polls/base.html" %}\n {% block content %}\n-<h1>${from}</h1>\n+<h1>${to}</h1>\n {% if questions %}\n`;
  return `--- a/${path}\n+++ b/${path}\n${hunk}`;
}

/** The source of polls without its requirements, and a patch for the heading `Survey one`. The caller deletes it. */
export function surveySource(): string {
  const source = mkdtempSync(join(tmpdir(), "survey-"));
  cpSync("apps/polls", source, { recursive: true });
  rmSync(join(source, "requirements.txt"));
  mkdirSync(join(source, "patches"));
  writeFileSync(join(source, "patches", "0001-heading.patch"), heading("Polls", "Survey one"));
  return source;
}

export const headingOf = async (site: string) =>
  /<h1>(.*?)<\/h1>/.exec((await new Visitor(site).ask("/polls/")).page)?.[1];

/** Sends requests while the site changes its heading: both headings are returned, and no request fails. */
export async function noneFails(site: string, headings: [string, string], update: () => Promise<void>): Promise<void> {
  const visitors = execa("node", ["--import", "tsx", "test/cluster/visitors.ts", `${site}/polls/`]);
  const said = text(visitors.stdout);
  try {
    await update();
    // kube-proxy's rules follow the pods' readiness with a delay.
    await vi.waitFor(async () => expect(await headingOf(site)).toBe(headings[1]), { timeout: 30_000, interval: 250 });
  } finally {
    visitors.stdin.end();
  }
  const seen = JSON.parse(await said) as Record<string, number>;
  console.log(`visitors saw ${JSON.stringify(seen)}`);
  expect(Object.keys(seen).sort()).toEqual([...headings].sort());
  expect(Object.values(seen).reduce((sum, count) => sum + count, 0)).toBeGreaterThan(100);
}
