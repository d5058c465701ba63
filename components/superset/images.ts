import type { ImageDefinition } from "../kit/image.ts";

export const supersetImages: ImageDefinition[] = [
  {
    folder: "components/superset/images/superset",
    repositories: ["apache/superset"],
    tags: /^6\.1\.0\b/,
    holds: "Superset 6.1.0 on Python 3.11 (PyPI)",
  },
  {
    folder: "components/superset/images/superset-drivers",
    repositories: ["data-platform/superset"],
    own: true,
    holds: "Superset with the drivers of the platform's databases",
  },
];
