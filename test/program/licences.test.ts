// Proves that docs/licences.md follows the facts beside the images, that every default image has them, and that it names
// each copyleft licence.
// Does not prove that a fact is true, nor the licences of libraries inside a program.
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { componentImages } from "../../components/images.ts";
import { defaultImages, isCopyleft, licencesPage, softwareOf } from "../../scripts/licences.ts";

it("docs/licences.md is what `npm run docs` writes", () => {
  expect(readFileSync("docs/licences.md", "utf8")).toBe(licencesPage());
});

it("every image has its software written down: the defaults, and all that are built from packages", () => {
  expect(defaultImages().filter((image) => !softwareOf(image)?.length)).toEqual([]);
  expect(componentImages.filter(({ software }) => !software?.length).map(({ folder }) => folder)).toEqual([]);
});

it("the copyleft ones are listed first, with what they ask for", () => {
  const [, section = ""] = /## What asks for more[^\n]*\n([\s\S]*?)\n## /.exec(licencesPage()) ?? [];
  const all = componentImages.flatMap(({ software = [] }) => software);
  expect(all.filter(({ licence }) => isCopyleft(licence)).map(({ name }) => name)).toEqual(
    expect.arrayContaining(["MinIO RELEASE.2025-09-07T16-13-09Z", "Redis 8", "psycopg 3.3"]),
  );
  for (const name of ["MinIO", "Redis 8", "Grafana", "psycopg"]) expect(section).toContain(name);
  expect(section).not.toMatch(/see its text/);
});
