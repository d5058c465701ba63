import type { ImageDefinition } from "../kit/image.ts";

export const airflowImages: ImageDefinition[] = [
  {
    folder: "components/airflow/images/airflow",
    repositories: ["apache/airflow"],
    tags: /^3\.3\.2\b/,
    holds: "Airflow 3.3.2 with the providers the platform uses, on Python 3.13 (PyPI)",
  },
];
