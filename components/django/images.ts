import type { ImageDefinition } from "../kit/image.ts";

export const djangoImages: ImageDefinition[] = [
  {
    folder: "apps/polls",
    repositories: ["data-platform/polls"],
    own: true,
    software: [
      { name: "polls", licence: "Apache-2.0", source: "this repository" },
      { name: "Django 5.2.19", licence: "BSD-3-Clause", source: "its package on PyPI" },
      { name: "gunicorn 27", licence: "MIT", source: "its package on PyPI" },
      { name: "WhiteNoise 6", licence: "MIT", source: "its package on PyPI" },
      { name: "psycopg 3.3", licence: "LGPL-3.0-only", source: "its package on PyPI" },
    ],
    holds: "the polls application, on Django 5.2.19 (PyPI)",
  },
];
