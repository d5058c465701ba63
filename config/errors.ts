/** A failure that the user can do something about. It is printed as its message alone, without a stack trace. */
export class UserError extends Error {
  override name = "UserError";
}

/** A mistake in what the user wrote: on the command line, or in a stack's configuration. */
export class ConfigError extends UserError {
  override name = "ConfigError";
}
