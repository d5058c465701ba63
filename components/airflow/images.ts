import type { ImageDefinition } from "../kit/image.ts";

export const airflowImages: ImageDefinition[] = [
  {
    folder: "components/airflow/images/airflow",
    repositories: ["apache/airflow"],
    tags: /^3\.3\.2\b/,
    software: [
      { name: "Airflow 3.3.2", licence: "Apache-2.0", source: "its package on PyPI" },
      { name: "psycopg2 2.9", licence: "LGPL-3.0-or-later with exceptions", source: "its package on PyPI" },
      { name: "Celery 5.6", licence: "BSD-3-Clause", source: "its package on PyPI" },
      { name: "git", licence: "GPL-2.0-only", source: "Debian's copyright file" },
    ],
    holds: "Airflow 3.3.2 with the providers the platform uses, on Python 3.13 (PyPI)",
  },
];
