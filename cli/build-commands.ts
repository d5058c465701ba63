import { derivedImages, ownImage } from "../components/images.ts";
import { resolveImage } from "../config/images.ts";
import { buildArguments } from "../local/images/definitions.ts";
import { ConfigError } from "../render/stack.ts";
import { withoutMirror } from "./images.ts";
import { anyContext, configOf, evaluateRedacted, stackFile } from "./project.ts";
import { imagesOf } from "./up.ts";

/** Prints the commands that build and push the stack's images that no registry has. */
export async function buildCommands(options: { stack: string; configFile?: string }): Promise<void> {
  const file = stackFile(options.stack, options.configFile);
  const config = configOf(file);
  const { imageRegistry } = config.global;
  if (!imageRegistry)
    throw new ConfigError(
      `stack ${file.stack}: global.imageRegistry: found nothing; expected the registry that the cluster pulls from, to push these images to. A local cluster builds them by itself`,
    );
  const plain = withoutMirror(file, { cluster: "kind" });
  const own = imagesOf(await evaluateRedacted(plain, anyContext(file))).flatMap((reference) => {
    const definition = ownImage(reference);
    return definition ? [{ reference, folder: definition.folder, args: buildArguments(definition, reference) }] : [];
  });
  for (const { reference, folder, args } of [...own, ...derivedImages(config)]) {
    const name = resolveImage(reference, imageRegistry);
    const values = Object.entries(args).map(([arg, value]) => `--build-arg '${arg}=${value}' `);
    console.log(`docker build --tag ${name} ${values.join("")}${folder}\ndocker push ${name}`);
  }
}
