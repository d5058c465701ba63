/** What is refused of a Django application before anything is built: in a stack's configuration, and in its source. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Given, type Source, withSource } from "../../cli/source.ts";
import { type ConfigProblems, parseConfig } from "../../config/problems.ts";

describe("the configuration", () => {
  const problems = (values: Record<string, unknown>): string[] => {
    try {
      parseConfig("test", values);
      return [];
    } catch (error) {
      return (error as ConfigProblems).problems;
    }
  };
  const shop = (fields: object = {}) => ({ djangoApps: { shop: { image: "apps/shop:1.2.0", ...fields } } });

  it("has polls and no other application by itself", () => {
    const { polls, djangoApps } = parseConfig("test", {});
    expect([polls.enabled, djangoApps]).toEqual([true, {}]);
  });

  it.each<[string, Record<string, unknown>, string]>([
    [
      "TLS without a host",
      { polls: { ingress: { tlsSecret: "cert" } } },
      'polls.ingress.tlsSecret: found "cert"; expected ingress.host beside it: without one there is no Ingress',
    ],
    [
      "a host with a scheme",
      { polls: { ingress: { host: "https://polls.example.com" } } },
      'polls.ingress.host: found "https://polls.example.com"; expected a host name such as polls.example.com',
    ],
    [
      "a kind of cluster that is not known",
      { global: { cluster: "k3s" } },
      'global.cluster: found "k3s"; expected plain, kind, embedded, eks, aks or gke',
    ],
    [
      "an application without an image",
      { djangoApps: { shop: {} } },
      "djangoApps.shop.image: found nothing; expected an image with a version as its tag, or a digest, such as apps/shop:1.2.0",
    ],
    [
      "an image that moves",
      shop({ image: "apps/shop:latest" }),
      'djangoApps.shop.image: found "apps/shop:latest"; expected an image with a version as its tag, or a digest, such as apps/shop:1.2.0: a tag that moves is refused',
    ],
    [
      "a key that is misspelt in an application",
      shop({ replica: 2 }),
      "djangoApps.shop.replica: unknown key; did you mean replicas?",
    ],
    [
      "a name that is no host name",
      { djangoApps: { My_shop: { image: "apps/shop:1.2.0" } } },
      'djangoApps.My_shop: found "My_shop"; expected a name of at most 30 lower-case letters, digits and dashes that starts with a letter and ends with a letter or digit',
    ],
    [
      "a shell's words as what is served",
      shop({ application: "shop.wsgi; rm" }),
      'djangoApps.shop.application: found "shop.wsgi; rm"; expected a Python module such as mysite.wsgi',
    ],
  ])("refuses %s", (_, values, expected) => {
    expect(problems(values)).toEqual([expected]);
  });

  it("wants PostgreSQL for polls, and for every application, unless CloudNativePG has the data", () => {
    // Other parts want it too, and say so.
    const ofDatabases = (values: object) =>
      problems({ postgresql: { enabled: false }, cloudnativePg: { enabled: true }, ...values }).filter((one) =>
        /database/.test(one),
      );
    const message =
      'found "postgresql"; expected postgresql.enabled: true beside it, since its data is there; or cloudnative-pg';
    expect(ofDatabases(shop())).toEqual([`polls.database: ${message}`, `djangoApps.shop.database: ${message}`]);
    expect(ofDatabases({ polls: { enabled: false } })).toEqual([]);
    expect(ofDatabases({ polls: { database: "cloudnative-pg" }, ...shop({ database: "cloudnative-pg" }) })).toEqual([]);
  });

  it.each<[string, Record<string, unknown>, string]>([
    [
      "CloudNativePG's data where there is no operator",
      { polls: { database: "cloudnative-pg" } },
      'polls.database: found "cloudnative-pg"; expected cloudnativePg.enabled: true beside it, since its operator runs the database; or postgresql',
    ],
    [
      "the same of an application from elsewhere",
      shop({ database: "cloudnative-pg" }),
      'djangoApps.shop.database: found "cloudnative-pg"; expected cloudnativePg.enabled: true beside it, since its operator runs the database; or postgresql',
    ],
    [
      "a database that nobody has",
      { polls: { database: "mysql" } },
      'polls.database: found "mysql"; expected postgresql or cloudnative-pg',
    ],
    [
      "an operator from nowhere",
      { cloudnativePg: { operator: "olm" } },
      'cloudnativePg.operator: found "olm"; expected chart or existing',
    ],
    [
      "no server at all",
      { polls: { databaseCluster: { instances: 0 } } },
      "polls.databaseCluster.instances: found 0; expected a whole number of servers from 1 to 9",
    ],
    [
      "a version of PostgreSQL that the operator could not tell",
      { polls: { databaseCluster: { image: "registry.example.com/team/postgresql:1.2.0" } } },
      'polls.databaseCluster.image: found "registry.example.com/team/postgresql:1.2.0"; expected a tag that starts with the major version, 16 to 18, such as ghcr.io/cloudnative-pg/postgresql:17.11-minimal-trixie: the operator reads it there',
    ],
  ])("refuses %s", (_, values, expected) => {
    expect(problems(values)).toEqual([expected]);
  });
});

describe("a source", () => {
  let path: string;
  beforeEach(() => {
    path = mkdtempSync(join(tmpdir(), "source-"));
    put("manage.py", 'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings.production")\n');
    put("shop/wsgi.py", "");
    put("Dockerfile", "FROM scratch\n");
    put("greeting.txt", "one\n");
  });
  afterEach(() => rmSync(path, { recursive: true }));

  function put(file: string, contents: string) {
    mkdirSync(dirname(join(path, file)), { recursive: true });
    writeFileSync(join(path, file), contents);
  }
  const patch = (from: string, to: string) => `--- a/greeting.txt\n+++ b/greeting.txt\n@@ -1 +1 @@\n-${from}\n+${to}\n`;

  const given = (changes: Partial<Given> = {}) => ({ name: "shop", version: "1.2.0", path, ...changes });
  const prepared = <T>(use: (source: Source) => T, changes?: Partial<Given>) =>
    withSource(given(changes), async (source) => use(source));
  const refused = (changes?: Partial<Given>) =>
    prepared(() => "accepted", changes).catch((error) => `${error.name}: ${error.message}`);

  it("is copied, served by the wsgi.py nearest to its settings, and given requirements where it has none", async () => {
    let copy = "";
    await prepared((source) => {
      copy = source.context;
      expect(source.application).toBe("shop.wsgi");
      expect(source.changes).toEqual(["requirements.txt is supplied: it has none"]);
      expect(readFileSync(join(copy, "requirements.txt"), "utf8")).toContain("Django==");
    });
    expect([existsSync(copy), existsSync(join(path, "requirements.txt"))]).toEqual([false, false]);
  });

  it("keeps the requirements that it has", async () => {
    put("requirements.txt", "Django==5.2.19\n");
    await prepared(({ context, changes }) => {
      expect(changes).toEqual([]);
      expect(readFileSync(join(context, "requirements.txt"), "utf8")).toBe("Django==5.2.19\n");
    });
  });

  it("is patched in the order of the patches' names, in the copy alone", async () => {
    put("patches/0002.patch", patch("two", "three"));
    put("patches/0001.diff", patch("one", "two"));
    put("patches/README.md", "no patch\n");
    await prepared(({ context, changes }) => {
      expect(changes.slice(0, 2)).toEqual(["patches/0001.diff is applied", "patches/0002.patch is applied"]);
      expect(readFileSync(join(context, "greeting.txt"), "utf8")).toBe("three\n");
      expect(existsSync(join(context, "patches"))).toBe(false);
    });
    expect(readFileSync(join(path, "greeting.txt"), "utf8")).toBe("one\n");
  });

  it("may have an empty directory of patches", async () => {
    mkdirSync(join(path, "patches"));
    await prepared(({ changes }) => expect(changes).toHaveLength(1));
  });

  it("may get its Dockerfile from a patch, or from elsewhere", async () => {
    rmSync(join(path, "Dockerfile"));
    put("elsewhere", "FROM scratch\n");
    await prepared(({ dockerfile }) => expect(dockerfile).toBe(join(path, "elsewhere")), {
      dockerfile: join(path, "elsewhere"),
    });
    put("patches/0001.patch", "--- /dev/null\n+++ b/Dockerfile\n@@ -0,0 +1 @@\n+FROM scratch\n");
    await prepared(({ context, dockerfile }) => expect(dockerfile).toBe(join(context, "Dockerfile")));
  });

  it("with a patch that does not apply is refused with the patch's name, and the next ones are not tried", async () => {
    put("patches/0001.patch", patch("nine", "ten"));
    put("patches/0002.patch", patch("one", "two"));
    expect(await refused()).toBe(
      "ConfigError: patches/0001.patch does not apply: error: patch failed: greeting.txt:1; error: greeting.txt: patch does not apply",
    );
  });

  it("is told all that is wrong with it at once", async () => {
    rmSync(join(path, "Dockerfile"));
    rmSync(join(path, "manage.py"));
    expect((await refused({ name: "My shop", version: "latest" })).split("\n")).toEqual([
      "ConfigError: --name: found My shop; expected a name of at most 30 lower-case letters, digits and dashes that starts with a letter and ends with a letter or digit",
      "--version: found latest; expected a semantic version such as 1.2.0",
      `--path: there is no Dockerfile in ${path}; expected one there, or elsewhere with --dockerfile`,
      `--path: there is no manage.py in ${path}; expected one that sets DJANGO_SETTINGS_MODULE`,
    ]);
  });

  it.each(["1", "1.2", "v1.2.0", "01.2.0", "1.2.0+build", "1.2.0-"])("has no version %s", async (version) => {
    expect(await refused({ version })).toContain(`--version: found ${version}; expected a semantic version`);
  });

  it.each(["0.0.1", "1.2.0-rc.1"])("may have version %s", async (version) => {
    expect(await refused({ version })).toBe("accepted");
  });

  it("has to be a directory", async () => {
    const nowhere = join(path, "nowhere");
    expect(await refused({ path: nowhere })).toBe(
      `ConfigError: --path: found ${nowhere}; expected a directory with a Django application`,
    );
  });
});
