/*
 * Pulumi captures a stack trace for each of its promises, hundreds in an evaluation, and none is shown. Node would map
 * each frame to the sources, which takes longer than the evaluation. Vitest maps the stack traces of failures itself.
 */
Error.prepareStackTrace = (error, frames) => [error, ...frames].join("\n    at ");
