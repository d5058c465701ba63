/*
 * Pulumi takes a stack for each of its promises, hundreds in an evaluation, which nobody reads. Node would map each frame
 * to the sources: that takes longer than the evaluation. Vitest maps the stacks of failures itself.
 */
Error.prepareStackTrace = (error, frames) => [error, ...frames].join("\n    at ");
