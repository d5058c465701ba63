import type { ImageDefinition } from "../kit/image.ts";

export const djangoImages: ImageDefinition[] = [
  {
    folder: "apps/polls",
    repositories: ["data-platform/polls"],
    own: true,
    holds: "the polls application, on Django 5.2.19 (PyPI)",
  },
];
