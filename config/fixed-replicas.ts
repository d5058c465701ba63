/** Annotation of a StatefulSet that names the key its number of pods comes from, where that number is final. */
export const fixedReplicas = "data-platform/fixed-replicas";

/**
 * Why a StatefulSet whose members are fixed at its creation may not be scaled from `before` to `after` pods; undefined if
 * it may. Zero is allowed: someone has stopped it.
 */
export const resizes = (before: number | undefined, after: number | undefined): string | undefined =>
  before && after !== before
    ? `found ${after}; expected ${before}, the number that exists: it is fixed when the volumes are first written to`
    : undefined;
