import { type ImageDefinition, linkerVariables } from "../kit/image.ts";

/** The image of the login in front of pages: frontDoor.login. */
export const frontDoorImages: ImageDefinition[] = [
  {
    folder: "components/front-door/images/oauth2-proxy",
    repositories: ["quay.io/oauth2-proxy/oauth2-proxy"],
    // Variants based on Alpine have a shell, and this image has none.
    tags: /^v7[.\d]*$/,
    software: [{ name: "oauth2-proxy 7.15.6", licence: "MIT", source: "LICENSE of its Go module" }],
    holds: "oauth2-proxy 7.15.6, without certificates of public authorities (Go module)",
    artifacts: [
      {
        kind: "go",
        package: "github.com/oauth2-proxy/oauth2-proxy/v7",
        output: "oauth2-proxy",
        ldflags: linkerVariables({ "github.com/oauth2-proxy/oauth2-proxy/v7/pkg/version.VERSION": "v7.15.6" }),
      },
    ],
  },
];
