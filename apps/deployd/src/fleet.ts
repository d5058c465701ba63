import { isDeepStrictEqual } from "node:util";
import { Deployment, type Tools } from "./deployment.ts";
import { isOf, type RepositorySettings } from "./settings.ts";

/** All repositories that are kept deployed. */
export class Fleet {
  private readonly tools: Tools;
  private readonly deployments = new Map<string, Deployment>();

  constructor(tools: Tools) {
    this.tools = tools;
  }

  /** Starts repositories that are new, stops those that are gone, and restarts those with other settings. */
  follow(settings: RepositorySettings[]): void {
    const wanted = new Map(settings.map((one) => [one.name.toLowerCase(), one]));
    for (const [key, deployment] of this.deployments)
      if (!wanted.has(key)) {
        this.deployments.delete(key);
        this.tools.metrics.forget(deployment.settings.name);
        void deployment.stop();
      }
    for (const [key, one] of wanted) {
      const before = this.deployments.get(key);
      if (before && isDeepStrictEqual(before.settings, one)) continue;
      const deployment = new Deployment(one, this.tools);
      this.deployments.set(key, deployment);
      // New settings are tried at once, without the backoff of the old ones.
      if (before) deployment.trigger("look");
      deployment.start(before?.stop());
    }
  }

  get(name: string): Deployment | undefined {
    return this.deployments.get(name.toLowerCase());
  }

  /** The deployments of a repository, owner/repo: one for each of its folders in the settings. */
  of(fullName: string): Deployment[] {
    return this.all().filter(({ settings }) => isOf(settings, fullName));
  }

  all(): Deployment[] {
    return [...this.deployments.values()].sort((one, other) => (one.settings.name < other.settings.name ? -1 : 1));
  }

  async stop(): Promise<void> {
    await Promise.all(this.all().map((deployment) => deployment.stop()));
  }
}
