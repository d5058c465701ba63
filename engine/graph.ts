/** Something with a place in an order. */
export interface Node {
  key: string;
  /** Keys of what must be finished before; those of nobody here count as finished. */
  after: string[];
}

/**
 * Visits every node after those it comes after, as many at once as the order allows. After a failure nothing new is
 * begun; what is under way is waited for, and all failures are thrown together as the `errors` of one AggregateError.
 */
export async function inOrder<N extends Node>(nodes: N[], visit: (node: N) => Promise<void>): Promise<void> {
  const tasks = new Map<string, Promise<boolean>>();
  const byKey = new Map(nodes.map((node) => [node.key, node]));
  const errors: unknown[] = [];
  const start = (node: N): Promise<boolean> => {
    const running = tasks.get(node.key);
    if (running) return running;
    const before = node.after.flatMap((key) => byKey.get(key) ?? []);
    const task = Promise.resolve()
      .then(() => Promise.all(before.map(start)))
      .then(async (finished) => {
        if (errors.length > 0 || finished.includes(false)) return false;
        await visit(node);
        return true;
      })
      .catch((error) => {
        errors.push(error);
        return false;
      });
    tasks.set(node.key, task);
    return task;
  };
  await Promise.all(nodes.map(start));
  if (errors.length > 0) throw new AggregateError(errors, errors.map((error) => (error as Error).message).join("\n"));
}

/** The same nodes in the opposite order: each after everything that came after it. */
export function reversed<N extends Node>(nodes: N[]): N[] {
  const followers = new Map<string, string[]>();
  for (const { key, after } of nodes) for (const one of after) followers.set(one, [...(followers.get(one) ?? []), key]);
  return nodes.map((node) => ({ ...node, after: followers.get(node.key) ?? [] })).reverse();
}
