// @ts-check
/*
 * Reads other people's YAML and JSON in a process of its own: one that exceeds its memory does not end deployd. In JavaScript, since Node.js 20 runs no TypeScript.
 *
 * Input: { want: "objects" | "documents" | "schemas", texts: [{ path, file } | { path, text }] } as JSON.
 * Output, as JSON: the Kubernetes objects of all texts; the documents of each text; or nothing, if no schema refers
 * to another file.
 * An error is one sentence on the standard error, with status 1.
 */
import { readFileSync } from "node:fs";
import { text as readAll } from "node:stream/consumers";
import { Composer, isCollection, isScalar, Parser, visit } from "yaml";

/** @typedef {{ path: string, file?: string, text?: string }} Text */

/**
 * YAML 1.2, with two things that kubectl and kustomize take from YAML 1.1: file modes as in `defaultMode: 0644` are
 * octal, and `<<` merges. `yes`, `on` and `12:30` stay the text that they are.
 * @type {import("yaml").ScalarTag}
 */
const octal = {
  tag: "tag:yaml.org,2002:int",
  default: true,
  format: "OCT",
  test: /^[-+]?0[0-7]+$/,
  resolve: (text) => Number.parseInt(text, 8),
};

/** @type {import("yaml").DocumentOptions & import("yaml").SchemaOptions & import("yaml").ParseOptions} */
const options = { merge: true, customTags: (tags) => [octal, ...tags] };

class Refusal extends Error {}

/**
 * Limits of what one repository may declare. Comparing and applying objects takes some hundred bytes for each value, and
 * Kubernetes stores objects of at most 1.5 MiB.
 */
const limits = { objects: 1000, values: 100_000, valuesOfOne: 20_000 };

const template = /\{\{[^{}]*\}\}/;

/**
 * @param {Text} one
 * @returns {Generator<unknown>}
 */
function* documents({ path, file, text }) {
  const contents = text ?? decoded(readFileSync(/** @type {string} */ (file)), path);
  if (file?.endsWith(".json")) {
    yield json(contents, path);
    return;
  }
  try {
    for (const document of new Composer(options).compose(new Parser().parse(contents))) {
      const [problem] = document.errors;
      const left = problem ? template.exec(lineOf(contents, problem.pos[0])) : templateKey(document, contents);
      if (left)
        throw new Refusal(
          `${path}: found ${left[0]}, which nothing fills in: expected plain YAML, a chart or a kustomization`,
        );
      if (problem) throw new Refusal(`${path}: ${problem.message} at line ${lineNumber(contents, problem.pos[0])}`);
      yield document.toJS();
    }
  } catch (error) {
    if (error instanceof RangeError) throw new Refusal(`${path}: is nested too deeply`);
    // Such as nested aliases, which would expand to gigabytes of text.
    if (error instanceof ReferenceError) throw new Refusal(`${path}: ${error.message}`);
    throw error;
  }
}

/**
 * git's files are bytes; YAML must be UTF-8.
 * @param {Buffer} bytes
 * @param {string} path
 */
function decoded(bytes, path) {
  const start = bytes.subarray(0, 2).toString("latin1");
  if (start === "\xff\xfe" || start === "\xfe\xff" || bytes.subarray(0, 64).includes(0))
    throw new Refusal(`${path}: found UTF-16 or binary data; expected UTF-8`);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new Refusal(`${path}: found text that is not UTF-8`);
  }
}

/**
 * @param {string} contents
 * @param {string} path
 */
function json(contents, path) {
  try {
    return JSON.parse(contents);
  } catch (error) {
    throw new Refusal(`${path}: not JSON: ${/** @type {Error} */ (error).message}`);
  }
}

/**
 * `{{ name }}` is valid YAML: a mapping whose key is a mapping.
 * @param {import("yaml").Document.Parsed} document
 * @param {string} contents
 */
function templateKey(document, contents) {
  /** @type {RegExpExecArray | null} */
  let found = null;
  visit(document, {
    Pair: (_, { key }) => {
      if (!isCollection(key) || !key.range) return undefined;
      found = template.exec(lineOf(contents, key.range[0]));
      return found ? visit.BREAK : undefined;
    },
    Scalar: (_, node) => (isScalar(node) ? visit.SKIP : undefined),
  });
  return found;
}

/**
 * @param {string} contents
 * @param {number} position
 */
const lineOf = (contents, position) => {
  const start = contents.lastIndexOf("\n", position - 1) + 1;
  const end = contents.indexOf("\n", position);
  return contents.slice(start, end < 0 ? undefined : end);
};

/**
 * @param {string} contents
 * @param {number} position
 */
const lineNumber = (contents, position) => contents.slice(0, position).split("\n").length;

/**
 * The objects in a document, with the items of lists.
 * @param {any} value
 * @param {string} path
 * @returns {unknown[]}
 */
function flat(value, path) {
  if (value === null || value === undefined) return [];
  if (typeof value !== "object" || typeof value.kind !== "string" || typeof value.apiVersion !== "string")
    throw new Refusal(`${path}: found a document without apiVersion and kind; expected a Kubernetes object`);
  const { kind, items, metadata } = value;
  if (kind === "List") {
    if (!Array.isArray(items)) throw new Refusal(`${path}: a List has no items; expected a list of Kubernetes objects`);
    return items.flatMap((item) => flat(item, path));
  }
  if (typeof metadata?.name !== "string") throw new Refusal(`${path}: a ${kind} has no metadata.name`);
  const [left] = template.exec(metadata.name) ?? [];
  if (left) throw new Refusal(`${path}: found ${left} in the name of a ${kind}, which nothing fills in`);
  return [value];
}

/**
 * @param {Text[]} texts
 * @returns {unknown[]}
 */
function objects(texts) {
  /** @type {unknown[]} */
  const found = [];
  let values = 0;
  for (const one of texts)
    for (const document of documents(one))
      for (const object of flat(document, one.path)) {
        values += counted(object, one.path);
        found.push(object);
        if (found.length > limits.objects) throw new Refusal(`${one.path}: expected at most ${limits.objects} objects`);
        if (values > limits.values)
          throw new Refusal(`${one.path}: expected at most ${limits.values} values in all objects together`);
      }
  return found;
}

/**
 * The number of values in a document. Throws if there are too many.
 * @param {unknown} document
 * @param {string} path
 */
function counted(document, path) {
  let values = 0;
  const waiting = [document];
  while (waiting.length > 0) {
    const value = waiting.pop();
    if (++values > limits.valuesOfOne)
      throw new Refusal(`${path}: expected at most ${limits.valuesOfOne} values in one object`);
    if (typeof value === "object" && value !== null) for (const inner of Object.values(value)) waiting.push(inner);
  }
  return values;
}

/** The schemas that are built into Helm. */
const known = /^https?:\/\/json-schema\.org\/(draft-0[467]|draft\/20(19-09|20-12))\/schema#?$/;
const references = new Set(["$ref", "$schema", "$dynamicRef", "$recursiveRef"]);

/**
 * Refuses references to other schemas, since Helm would load those from any address or file.
 * @param {Text} one
 */
function refuseRemoteSchema(one) {
  const waiting = [...documents(one)];
  while (waiting.length > 0) {
    const value = waiting.pop();
    if (typeof value !== "object" || value === null) continue;
    for (const [key, inner] of Object.entries(value)) {
      waiting.push(inner);
      if (references.has(key) && typeof inner === "string" && !inner.startsWith("#") && !known.test(inner))
        throw new Refusal(
          `${one.path}: found ${key} ${inner.slice(0, 200)}; expected one inside of the file: deployd reads no other`,
        );
    }
  }
}

/**
 * @param {string} want
 * @param {Text[]} texts
 * @returns {unknown[]}
 */
function results(want, texts) {
  if (want === "objects") return objects(texts);
  if (want === "schemas") {
    for (const one of texts) refuseRemoteSchema(one);
    return [];
  }
  return texts.map((one) => {
    const found = [...documents(one)];
    for (const document of found) counted(document, one.path);
    return found;
  });
}

try {
  const { want, texts } = JSON.parse(await readAll(process.stdin));
  const result = results(want, texts);
  process.stdout.write(JSON.stringify(result));
} catch (error) {
  process.stderr.write(error instanceof Refusal ? error.message : `cannot be read: ${/** @type {Error} */ (error).message}`);
  process.exitCode = 1;
}
