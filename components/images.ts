import { parseImage } from "../config/images.ts";
import type { Config } from "../config/schema.ts";
import { withPackages } from "./airflow/packages.ts";
import { frontDoorImages } from "./front-door/images.ts";
import type { DerivedImage, ImageDefinition } from "./kit/image.ts";
import { registry } from "./registry.ts";

/** The image definitions of all components, and of the login in front of their pages. */
export const componentImages: readonly ImageDefinition[] = [
  ...Object.values(registry).flatMap(({ images }) => images),
  ...frontDoorImages,
];

type Named = Pick<ImageDefinition, "repositories" | "tags">;

/** The definition that makes an image; undefined if none does. A reference without a tag has the tag `latest`. */
export function findDefinition<D extends Named>(reference: string, among: readonly D[]): D | undefined {
  const image = parseImage(reference);
  if (!image) return undefined;
  return among.find(
    ({ repositories, tags }) =>
      repositories.some((one) => {
        const made = parseImage(one);
        return made?.registry === image.registry && made.repository === image.repository;
      }) &&
      (tags?.test(image.tag ?? "latest") ?? true),
  );
}

/** The definition of one of the platform's own images, to be built from its Dockerfile. An image pinned by digest is built already. */
export function ownImage(reference: string): ImageDefinition | undefined {
  const definition = findDefinition(reference, componentImages);
  return definition?.own && !parseImage(reference)?.digest ? definition : undefined;
}

/** The build arguments that make the image of a reference's tag. */
export function buildArguments({ tagAs }: Pick<ImageDefinition, "tagAs">, reference: string): Record<string, string> {
  return tagAs ? { [tagAs]: parseImage(reference)?.tag ?? "latest" } : {};
}

/** The images that a stack derives from others. */
export function derivedImages({ airflow }: Pick<Config, "airflow">): DerivedImage[] {
  const found = airflow.enabled ? withPackages(airflow) : undefined;
  return found ? [found] : [];
}
