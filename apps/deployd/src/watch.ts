import { readFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { parseSettings, type RepositorySettings } from "./settings.ts";

/** What the configuration file was when it was last looked at. */
export interface Configuration {
  /** When the settings that hold were read. */
  readAt: string | null;
  /** What is wrong with the file as it is now. The settings that held before go on. */
  error: string | null;
}

/**
 * Looks at the file every `every` milliseconds and hands on what it says when that has changed. A mounted ConfigMap is
 * a link that is swapped, which file notifications tell unreliably: its contents are compared instead.
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
      // A file that could not be read may come back as it was.
      if (code) before = undefined;
      if (state.error !== message) refuse(message);
      state.error = message;
    }
    await pause(every, undefined, { signal }).catch(() => {});
  }
}
