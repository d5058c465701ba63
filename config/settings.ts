import { z } from "zod";
import { taken } from "./taken.ts";

/*
 * Settings of a component's own software, by the names that its documentation gives them: one kind of block for every
 * component. What the platform sets itself is refused with the key to use instead. The kit writes the rest into the
 * configuration file: `withSettings` of components/kit/settings.ts.
 */

/** What a component says of its settings. */
interface Names {
  /**
   * Settings that the stack may not set, each with the key to use instead, or "" if there is none. `ssl.*` stands for
   * every name that begins with `ssl.`.
   */
  sets: Readonly<Record<string, string>>;
  /** What a name looks like. Default: words with dots, dashes and underscores between them. */
  name?: RegExp;
  /** A name, for the message. */
  example: string;
  /** How a value refers to a variable of the container, such as `${ENV:NAME}`. Default: it cannot. */
  variable?: string;
  /** A value that names a password without being one. Default: there is none but `variable`. */
  reference?: RegExp;
  /** What to do about a password, for the message, if there is another way than `variable`. */
  passwords?: string;
}

/** A setting that holds a password or a key. */
export const secretSetting =
  /(^|[._-])(\w*pass(word|wd|phrase)?|secret|token|((secret|access|api|private)[._-]?)key|credentials?)$/i;
/** A password inside a value: in a URL, or in a list of options. */
export const passwordInside = /:\/\/[^/\s:@]*:[^/\s@$][^/\s@]*@|\bpassword\s*=\s*["']?[^"'\s$]/i;

/** The key to use instead of a setting that the platform sets; undefined if the stack may set it. */
export function takenSetting(sets: Names["sets"], name: string): string | undefined {
  if (Object.hasOwn(sets, name)) return sets[name];
  const group = Object.keys(sets).find((key) => key.endsWith("*") && name.startsWith(key.slice(0, -1)));
  return group === undefined ? undefined : sets[group];
}

const usualName = /^[A-Za-z_][\w-]*(\.[\w-]+)*$/;
const valueExpected = "expected a text, a number, true or false";

/** A mapping of settings. Values reach the file as they are. */
export const settings = ({ sets, name: form = usualName, example, variable, reference, passwords: hint }: Names) => {
  const referring = variable?.replace(/\bNAME\b/, "\\w+").replace(/[${}]/g, "\\$&");
  const references = [referring && `^${referring}$`, reference?.source].filter(Boolean).join("|");
  const refersTo = references ? new RegExp(references) : undefined;
  const passwords = variable
    ? `expected no password here: write ${variable}, with the variable NAME from a Secret's key in env`
    : `expected no password here: ${hint ?? "a stack file holds none, and this software reads none from a Secret"}`;
  return z
    .record(z.string(), z.union([z.string(), z.number(), z.boolean()], { error: valueExpected }), {
      error: "expected settings by their names",
    })
    .superRefine((all, context) => {
      for (const [name, input] of Object.entries(all)) {
        const value = String(input);
        const refuse = (message: string, hidden = secretSetting.test(name)) =>
          context.addIssue({ code: "custom", path: [name], input, message, params: { hidden } });
        const instead = takenSetting(sets, name);
        if (!form.test(name)) refuse(`expected a setting's name such as ${example}`);
        else if (instead !== undefined)
          refuse(`expected another setting: the platform sets this one${instead && `; use ${instead} instead`}`);
        // A backslash at the end of a line joins the next one to it.
        else if (/\p{Cc}|\\$/u.test(value)) refuse("expected a value of one line, without a backslash at its end");
        else if ((secretSetting.test(name) && !refersTo?.test(value)) || passwordInside.test(value))
          refuse(passwords, true);
      }
    })
    .transform((all) => Object.fromEntries(Object.entries(all).map(([name, value]) => [name, String(value)])))
    .prefault({})
    .register(taken, {
      taken: Object.keys(sets),
      form: { name: form.source, example, reference: references, passwords },
    });
};

/**
 * Variables that values refer to by `pattern`, whose first group is the name, and that the containers do not have: not
 * the stack's `env`, and not the platform's `own`. Those of `envFrom` are unknown, so with it none is missing.
 */
export const missingVariables = (
  values: Readonly<Record<string, string>>,
  pattern: RegExp,
  { env, envFrom }: { env: object; envFrom: readonly object[] },
  own: object,
): [setting: string, variable: string][] =>
  envFrom.length > 0
    ? []
    : Object.entries(values).flatMap(([setting, value]) =>
        // Not yet a text, if another setting of the block is refused.
        [...String(value).matchAll(pattern)]
          .map(([, variable = ""]): [string, string] => [setting, variable])
          .filter(([, variable]) => !Object.hasOwn(env, variable) && !Object.hasOwn(own, variable)),
      );
