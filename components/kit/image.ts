/** A static program, built by Go on the host. The go.mod and go.sum in the definition's folder `go/` pin its source. */
export interface GoProgram {
  kind: "go";
  package: string;
  /** Its file name in the build context. */
  output: string;
  ldflags?: string;
  tags?: string[];
}

/** The dependencies that the definition's pom.xml pins, downloaded by Maven: jars, or whole distributions. */
export interface MavenDependencies {
  kind: "maven";
  /** Their folder in the build context. */
  output: string;
}

/** Software in an image, beside the base image that it is on. */
export interface Software {
  /** With the version whose licence was looked up. */
  name: string;
  /** An SPDX expression, if there is one. */
  licence: string;
  /** What states the licence. */
  source: string;
}

/**
 * An image that is built from packages where its registry cannot be reached, or that no registry has. Pure data: the
 * local cluster's tools build it.
 */
export interface ImageDefinition<Artifact = GoProgram | MavenDependencies> {
  /** The folder of the Dockerfile and what it copies, from the top of the repository. */
  folder: string;
  /** The repositories whose images it replaces. */
  repositories: string[];
  /** The tags it may replace; by default every tag. `holds` says what is really inside. */
  tags?: RegExp;
  /** Whether it is the platform's own image, which no registry has. */
  own?: boolean;
  /** The build argument that gets the tag, if one Dockerfile makes an image for each version. */
  tagAs?: string;
  /** What it holds that has a licence of its own, for docs/licences.md. */
  software?: readonly Software[];
  /** The software inside, whatever the tag says. */
  holds: string;
  /** What is made on the host and put into the build context. */
  artifacts?: Artifact[];
}

/** An image that a stack derives from another one. No registry has it: it is built from a Dockerfile of the platform. */
export interface DerivedImage {
  /** The configuration key that asks for it. */
  key: string;
  /** Its name. The tag changes with all that decides the image. */
  reference: string;
  /** The folder of the Dockerfile, from the top of the repository. */
  folder: string;
  /** Build arguments. */
  args: Record<string, string>;
  /** What is inside. */
  holds: string;
}

/** Linker flags that set variables of a Go program, such as its version: without them it reports a development build. */
export const linkerVariables = (variables: Record<string, string>): string =>
  Object.entries(variables)
    .map(([name, value]) => `-X ${name}=${value}`)
    .join(" ");
