/**
 * What the parts' software says at its start that sounds like trouble and is none: each line with the page of `docs/`
 * that explains it. Anything else fails the test.
 */
export const expectedWarnings: Record<string, RegExp[]> = {
  // docs/nessie.md: the catalog asks nobody for a password.
  nessie: [/Both authentication \(AuthN\) and authorization \(AuthZ\) are disabled/],
};
