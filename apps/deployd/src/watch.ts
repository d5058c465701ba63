import { readFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { parseSettings, type RepositorySettings } from "./settings.ts";

/** The state of the configuration file at the last check. */
export interface Configuration {
  /** When the settings in use were read. */
  readAt: string | null;
  /** What is wrong with the current file. The last valid settings stay in use. */
  error: string | null;
}

/**
 * Reads the file every `every` milliseconds and passes on its settings if they have changed. A mounted ConfigMap is a link
 * that is swapped, for which file notifications are unreliable.
 */
export async function watchSettings(
  path: string,
  options: {
    every: number;
    signal: AbortSignal;
    state: Configuration;
    follow: (settings: RepositorySettings[]) => void;
    refuse: (message: string) => void;
  },
): Promise<void> {
  const { every, signal, state, follow, refuse } = options;
  let before: string | undefined;
  while (!signal.aborted) {
    try {
      const contents = await readFile(path, "utf8");
      if (contents !== before) {
        before = contents;
        const settings = parseSettings(contents);
        state.readAt = new Date().toISOString();
        state.error = null;
        follow(settings);
      }
    } catch (error) {
      const { message, code } = error as NodeJS.ErrnoException;
      // A file that cannot be read now may return unchanged.
      if (code) before = undefined;
      if (state.error !== message) refuse(message);
      state.error = message;
    }
    await pause(every, undefined, { signal }).catch(() => {});
  }
}
