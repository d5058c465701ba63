import type { ImageDefinition } from "../kit/image.ts";

export const webAppImages: ImageDefinition[] = [
  {
    folder: "apps/web-app",
    repositories: ["data-platform/web-app"],
    own: true,
    software: [
      { name: "the web app", licence: "Apache-2.0", source: "this repository" },
      { name: "Flask 3.1", licence: "BSD-3-Clause", source: "its package on PyPI" },
      { name: "gunicorn 27", licence: "MIT", source: "its package on PyPI" },
      { name: "redis (client) 8.1", licence: "MIT", source: "its package on PyPI" },
    ],
    holds: "the web app, on Flask 3.1.3 (PyPI)",
  },
];
