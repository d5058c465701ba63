import { join } from "node:path";
import which from "which";
import { linkerVariables } from "../../components/kit/image.ts";
import { buildStep, builtDir } from "../../local/go.ts";

/** The path of Helm 3.18 or newer: the one on PATH, else built from the Go module of deployd's image. */
export async function helm(): Promise<string> {
  const found = await which("helm", { nothrow: true });
  if (found) return found;
  const group = {
    dir: "apps/deployd/go",
    binaries: { helm: "helm.sh/helm/v4/cmd/helm" },
    stamp: linkerVariables({ "helm.sh/helm/v4/internal/version.version": "v4.3.1" }),
  };
  const { skip, run } = buildStep("helm", group);
  if (!(await skip?.())) await run(() => {});
  return join(await builtDir("helm", group), "helm");
}
