import { existsSync, mkdtempSync, readdirSync, readFileSync, statSync } from "node:fs";
import { copyFile, cp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { execa } from "execa";
import { appName, appNameExpected } from "../config/parts/polls.ts";
import { semanticVersion } from "../config/parts/web-app.ts";
import { ConfigError } from "../engine/stack.ts";
import { UserError } from "../local/step.ts";
import { root } from "./project.ts";

/** What the command line says of a Django application. */
export interface Given {
  name: string;
  version: string;
  path: string;
  /** Default: `Dockerfile` in the source, once it is patched. */
  dockerfile?: string;
}

/** A copy of an application's source that an image can be built from. */
export interface Source {
  context: string;
  dockerfile: string;
  /** What gunicorn serves. */
  application: string;
  /** What was done to the copy, for people. */
  changes: string[];
}

/**
 * Copies an application's source, applies the patches that it brings and supplies what it lacks; then checks that
 * what came of it can be built and served. The source itself is only read. The copy is gone after `use`.
 */
export async function withSource<T>(given: Given, use: (source: Source) => Promise<T>): Promise<T> {
  const problems: string[] = [];
  if (!appName.test(given.name)) problems.push(`--name: found ${given.name}; ${appNameExpected}`);
  if (!semanticVersion.test(given.version))
    problems.push(`--version: found ${given.version}; expected a semantic version such as 1.2.0`);
  if (!statSync(given.path, { throwIfNoEntry: false })?.isDirectory())
    throw refusal([...problems, `--path: found ${given.path}; expected a directory with a Django application`]);

  const copy = mkdtempSync(join(tmpdir(), "data-platform-app-"));
  try {
    const left = new Set([join(given.path, ".git"), join(given.path, "patches")]);
    await cp(given.path, copy, { recursive: true, verbatimSymlinks: true, filter: (from) => !left.has(from) });
    const changes = await patch(copy, join(given.path, "patches"), problems);
    if (!existsSync(join(copy, "requirements.txt"))) {
      await copyFile(join(root, "apps", "polls", "requirements.txt"), join(copy, "requirements.txt"));
      changes.push("requirements.txt is supplied: it has none");
    }
    const dockerfile = given.dockerfile ?? join(copy, "Dockerfile");
    if (!existsSync(dockerfile))
      problems.push(
        given.dockerfile
          ? `--dockerfile: ${given.dockerfile}: there is no such file`
          : `--path: there is no Dockerfile in ${given.path}; expected one there, or elsewhere with --dockerfile`,
      );
    const application = applicationOf(copy, given.path, problems);
    if (problems.length > 0) throw refusal(problems);
    return await use({ context: copy, dockerfile, application, changes });
  } finally {
    await rm(copy, { recursive: true });
  }
}

const refusal = (problems: string[]) => new ConfigError(problems.join("\n"));

/** Applies the patches of a directory in the order of their names. Where there are none, there is nothing to do. */
async function patch(copy: string, patches: string, problems: string[]): Promise<string[]> {
  const files = existsSync(patches) ? readdirSync(patches).filter((name) => /\.(patch|diff)$/.test(name)) : [];
  const done: string[] = [];
  for (const name of files.sort()) {
    const { failed, stderr, code } = await execa("git", ["apply", "--whitespace=nowarn", join(patches, name)], {
      cwd: copy,
      // A repository that the copy happens to lie in is none of git's business here.
      env: { GIT_CEILING_DIRECTORIES: dirname(copy), GIT_DIR: undefined },
      reject: false,
    });
    if (code === "ENOENT") throw new UserError("patches are applied by git, which is not on PATH");
    if (failed) {
      const why = stderr.trim().split("\n").slice(0, 3).join("; ");
      problems.push(`patches/${name} does not apply: ${why}`);
      // The next ones are for what this one would have made.
      return done;
    }
    done.push(`patches/${name} is applied`);
  }
  return done;
}

/** The module that a Django project is served by: `wsgi.py` in the package of the settings that manage.py names. */
function applicationOf(copy: string, path: string, problems: string[]): string {
  const manage = join(copy, "manage.py");
  const text = existsSync(manage) ? readFileSync(manage, "utf8") : "";
  const settings = /DJANGO_SETTINGS_MODULE["'],\s*["']([\w.]+)["']/.exec(text)?.[1];
  if (!settings) {
    problems.push(
      `--path: ${text ? "the manage.py" : "there is no manage.py"} in ${path}${text ? " does not name its settings" : ""}; expected one that sets DJANGO_SETTINGS_MODULE`,
    );
    return "";
  }
  const packages = settings.split(".");
  for (let depth = packages.length - 1; depth > 0; depth--) {
    const inside = packages.slice(0, depth);
    if (existsSync(join(copy, ...inside, "wsgi.py"))) return [...inside, "wsgi"].join(".");
  }
  problems.push(`--path: there is no wsgi.py beside the settings ${settings} in ${basename(path)}`);
  return "";
}
