import type { ImageDefinition } from "../kit/image.ts";

export const supersetImages: ImageDefinition[] = [
  {
    folder: "components/superset/images/superset",
    repositories: ["apache/superset"],
    tags: /^6\.1\.0\b/,
    software: [
      { name: "Superset 6.1.0", licence: "Apache-2.0", source: "its package on PyPI" },
      { name: "gunicorn 26", licence: "MIT", source: "its package on PyPI" },
    ],
    holds: "Superset 6.1.0 on Python 3.11 (PyPI)",
  },
  {
    folder: "components/superset/images/superset-drivers",
    repositories: ["data-platform/superset"],
    own: true,
    software: [
      { name: "Superset 6.1.0", licence: "Apache-2.0", source: "its package on PyPI" },
      { name: "psycopg2 2.9", licence: "LGPL-3.0-or-later with exceptions", source: "its package on PyPI" },
      { name: "clickhouse-connect 0.15", licence: "Apache-2.0", source: "its package on PyPI" },
      { name: "trino (driver) 0.340", licence: "Apache-2.0", source: "its package on PyPI" },
    ],
    holds: "Superset with the drivers of the platform's databases",
  },
];
