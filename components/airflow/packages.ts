import { createHash } from "node:crypto";
import { z } from "zod";
import { tagOf } from "../../config/images.ts";
import type { Config } from "../../config/schema.ts";
import type { DerivedImage } from "../kit/image.ts";

/*
 * Python packages that a stack adds to Airflow's image. Pure.
 */

const folder = "components/airflow/images/airflow-packages";
/** PEP 508's names and extras, and one exact version of PEP 440. */
const requirement = /^([A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)(\[[\w.-]+(,[\w.-]+)*\])?==([A-Za-z0-9][\w.!+-]*)$/;
const expected = "expected a package with its version such as pandas==2.3.3";

/** The name in the one form that a package index knows (PEP 503). */
const normalized = (name: string): string => name.replace(/[-_.]+/g, "-").toLowerCase();

/** The key `packages`. */
export const packages = z
  .array(z.string({ error: expected }).regex(requirement, { error: expected }), {
    error: "expected a list of packages with their versions",
  })
  .superRefine((all, context) => {
    const names = all.map((one) => normalized(requirement.exec(one)?.[1] ?? ""));
    for (const [index, name] of names.entries()) {
      const refuse = (message: string) =>
        context.addIssue({ code: "custom", path: [index], input: all[index], message });
      if (name === "apache-airflow" || name === "apache-airflow-core")
        refuse("expected another package: airflow.image decides the version of Airflow");
      else if (name && names.indexOf(name) < index) refuse("expected one version of a package: it is listed above too");
    }
  })
  .default([])
  .describe(
    "Python packages that DAGs need, each with its version, such as `pandas==2.3.3`. The platform builds an image with them on top of `airflow.image`: see docs/airflow.md.",
  );

/** Not the kit's fingerprint: the schema loads this file, and no Pulumi. */
const hashOf = (parts: string[]): string =>
  createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 8);

/** Airflow's image with the stack's packages; undefined if there are none. Its tag changes with either. */
export function withPackages({
  image,
  packages,
}: Pick<Config["airflow"], "image" | "packages">): DerivedImage | undefined {
  if (packages.length === 0) return undefined;
  const sorted = [...packages].sort();
  const base = tagOf(image).slice(0, 100) || "digest";
  return {
    key: "airflow.packages",
    reference: `data-platform/airflow:${base}-${hashOf([image, ...sorted])}`,
    folder,
    args: { AIRFLOW: image, PACKAGES: sorted.join(" ") },
    holds: `${image} with ${sorted.join(", ")}`,
  };
}
