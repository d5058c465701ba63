// Proves that every relative link leads to a file and a heading that exist, and that component pages have the same
// form.
// Does not prove that a page is true, nor that a web address answers.
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, it } from "vitest";

const pages = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "*.md"], {
  encoding: "utf8",
})
  .trim()
  .split("\n")
  .filter((page) => existsSync(page));
/** Markdown without code. */
const textOf = (page: string) => readFileSync(page, "utf8").replace(/^ *```[\s\S]*?^ *```$/gm, "");

/** A heading's anchor, as GitHub derives it. */
const anchor = (heading: string) =>
  heading
    .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .trim()
    .replaceAll(" ", "-");
const headings = (page: string) => [...textOf(page).matchAll(/^(#+) (.+)$/gm)].map(([, , text = ""]) => text);

it.each(pages)("%s has no broken links", (page) => {
  const broken = [...textOf(page).matchAll(/\]\((?!https?:|mailto:)([^)\s]+)\)/g)]
    .map(([, link = ""]) => link)
    .filter((link) => {
      const [path = "", fragment] = link.split("#");
      const file = path ? join(dirname(page), path) : page;
      if (!existsSync(file)) return true;
      return fragment !== undefined && !headings(file).map(anchor).includes(fragment);
    });
  expect(broken).toEqual([]);
});

/** Every component's folder. Django's page has the name of the shipped application. */
const components = readdirSync("components")
  .filter((name) => existsSync(`components/${name}/schema.ts`))
  .map((name) => (name === "django" ? "polls" : name));
const form = ["Use it", "Configure it", "Operate it", "Back up", "Upgrade", "Scale", "Rotate", "Reference"];

it.each(components)("docs/%s.md has the form of a component's page", (name) => {
  expect(headings(`docs/${name}.md`).filter((heading) => form.includes(heading))).toEqual(form);
});

/** Dated pages, which may name files that no longer exist. */
const dated = (page: string) =>
  page.startsWith("docs/decisions/") || page === "CHANGELOG.md" || page === "docs/migrations.md";

it.each(pages.filter((page) => !dated(page)))("%s names files that exist", (page) => {
  const rooms = "apps|charts|cli|components|config|docs|kube|launch|lint|local|policy|render|scripts|test";
  const named = [...textOf(page).matchAll(new RegExp(`\`((?:${rooms})/[\\w./-]+)\``, "g"))];
  // Except placeholders, files inside a container, and Helm's folder of a chart.
  const other = (path: string) => /NAME|\/charts\/$/.test(path) || path === "config/application.properties";
  expect(named.map(([, path = ""]) => path).filter((path) => !other(path) && !existsSync(path))).toEqual([]);
});
