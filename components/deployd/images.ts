import { type ImageDefinition, linkerVariables } from "../kit/image.ts";

export const deploydImages: ImageDefinition[] = [
  {
    folder: "apps/deployd",
    repositories: ["data-platform/deployd"],
    own: true,
    software: [
      { name: "deployd", licence: "Apache-2.0", source: "this repository" },
      { name: "Helm 4.3.1", licence: "Apache-2.0", source: "LICENSE of its Go module" },
      { name: "kustomize 5.8.2", licence: "Apache-2.0", source: "LICENSE of its Go module" },
      { name: "git", licence: "GPL-2.0-only", source: "Debian's copyright file" },
      { name: "tini", licence: "MIT", source: "Debian's copyright file" },
    ],
    holds: "deployd with git, Helm 4.3.1 and kustomize 5.8.2 (npm, Go modules)",
    artifacts: [
      {
        kind: "go",
        package: "helm.sh/helm/v4/cmd/helm",
        output: "helm",
        ldflags: linkerVariables({ "helm.sh/helm/v4/internal/version.version": "v4.3.1" }),
      },
      {
        kind: "go",
        package: "sigs.k8s.io/kustomize/kustomize/v5",
        output: "kustomize",
        ldflags: linkerVariables({ "sigs.k8s.io/kustomize/api/provenance.version": "v5.8.2" }),
      },
    ],
  },
];
