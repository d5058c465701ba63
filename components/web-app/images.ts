import type { ImageDefinition } from "../kit/image.ts";

export const webAppImages: ImageDefinition[] = [
  {
    folder: "apps/web-app",
    repositories: ["data-platform/web-app"],
    own: true,
    holds: "the web app, on Flask 3.1.3 (PyPI)",
  },
];
