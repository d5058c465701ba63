// Proves what is refused of a Django application before a build: in the stack's configuration, and in its source.
// Does not prove that the rest can be built and deployed: the cluster tests do.
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createTwoFilesPatch } from "diff";
import { execa } from "execa";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Given, type Source, withSource } from "../../apps/commands/django/source.ts";
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

  const hidden = "found a value that is not shown";
  const noPassword = "expected no password here: name a Secret's key by secretKeyRef, or a variable as $(NAME)";

  it("accepts variables as values, as key references, and as whole Secrets and ConfigMaps", () => {
    const url = "postgres://$(DATABASE_USER):$(DATABASE_PASSWORD)@$(DATABASE_HOST)/$(DATABASE_NAME)";
    const env = {
      DATABASE_URL: url,
      PORT: "25",
      PASSWORD_RESET_TIMEOUT: "60",
      MAIL_PASSWORD: { secretKeyRef: { name: "mail", key: "password" } },
    };
    const envFrom = [{ secretRef: { name: "mail" } }, { configMapRef: { name: "settings" } }];
    expect(parseConfig("test", shop({ env, envFrom })).djangoApps.shop).toMatchObject({ env, envFrom });
  });

  it("has only polls by default", () => {
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
      'global.cluster: found "k3s"; expected plain, kind, embedded, eks, aks, gke or openshift',
    ],
    [
      "an application without an image",
      { djangoApps: { shop: {} } },
      "djangoApps.shop.image: found nothing; expected an image with a version or a commit as its tag, or a digest, such as apps/shop:1.2.0",
    ],
    [
      "an image that moves",
      shop({ image: "apps/shop:latest" }),
      'djangoApps.shop.image: found "apps/shop:latest"; expected an image with a version or a commit as its tag, or a digest, such as apps/shop:1.2.0: a tag that moves is refused',
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
      "a variable that the platform sets",
      shop({ env: { DATABASE_HOST: "db" } }),
      `djangoApps.shop.env.DATABASE_HOST: ${hidden}; expected another variable: the platform sets this one`,
    ],
    [
      "a name that is no variable's",
      shop({ env: { "MAIL-HOST": "x" } }),
      `djangoApps.shop.env.MAIL-HOST: ${hidden}; expected a variable's name of letters, digits and underscores`,
    ],
    [
      "a number as a variable",
      shop({ env: { PORT: 25 } }),
      `djangoApps.shop.env.PORT: ${hidden}; expected a text (a number in quotes), secretKeyRef: {name, key} or configMapKeyRef: {name, key}`,
    ],
    [
      "a password as a variable",
      shop({ env: { SMTP_PASSWORD: "hunter2" } }),
      `djangoApps.shop.env.SMTP_PASSWORD: ${hidden}; ${noPassword}`,
    ],
    [
      "a password in a URL",
      shop({ env: { CACHE: "redis://:hunter2@redis/0" } }),
      `djangoApps.shop.env.CACHE: ${hidden}; ${noPassword}`,
    ],
    [
      "a list of names",
      shop({ envFrom: ["mail"] }),
      'djangoApps.shop.envFrom[0]: found "mail"; expected secretRef: {name} or configMapRef: {name}',
    ],
    [
      "another interface",
      shop({ interface: "http" }),
      'djangoApps.shop.interface: found "http"; expected wsgi or asgi',
    ],
    [
      "a directory above",
      shop({ directory: "../src" }),
      'djangoApps.shop.directory: found "../src"; expected a relative path such as src',
    ],
    [
      "a shell's words as what is served",
      shop({ application: "shop.wsgi; rm" }),
      'djangoApps.shop.application: found "shop.wsgi; rm"; expected a Python module such as mysite.wsgi',
    ],
  ])("refuses %s", (_, values, expected) => {
    expect(problems(values)).toEqual([expected]);
  });

  it("requires PostgreSQL for polls and for every application, unless CloudNativePG has the data", () => {
    // Other components require it too, with their own messages.
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
      "CloudNativePG's data without its operator",
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

/** The same examples in each run by default. */
const runs = (numRuns: number) =>
  process.env.FUZZ_RUNS ? { numRuns: Number(process.env.FUZZ_RUNS) } : { numRuns, seed: 1 };

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

  it("is copied, served by the wsgi.py nearest to its settings, and gets missing requirements", async () => {
    let copy = "";
    await prepared((source) => {
      copy = source.context;
      expect(source.application).toBe("shop.wsgi");
      expect(source.changes).toEqual(["requirements.txt is supplied: it has none"]);
      expect(readFileSync(join(copy, "requirements.txt"), "utf8")).toContain("Django==");
    });
    expect([existsSync(copy), existsSync(join(path, "requirements.txt"))]).toEqual([false, false]);
  });

  it("keeps its requirements", async () => {
    put("requirements.txt", "Django==5.2.19\n");
    await prepared(({ context, changes }) => {
      expect(changes).toEqual([]);
      expect(readFileSync(join(context, "requirements.txt"), "utf8")).toBe("Django==5.2.19\n");
    });
  });

  it("is patched in the order of the patches' names, only in the copy", async () => {
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

  it("may get its Dockerfile from a patch, or from another path", async () => {
    rmSync(join(path, "Dockerfile"));
    put("elsewhere", "FROM scratch\n");
    // Of the patched copy.
    await prepared(({ context, dockerfile }) => expect(dockerfile).toBe(join(context, "elsewhere")), {
      dockerfile: join(path, "elsewhere"),
    });
    const outside = join(mkdtempSync(join(tmpdir(), "outside-")), "Dockerfile");
    writeFileSync(outside, "FROM scratch\n");
    await prepared(({ dockerfile }) => expect(dockerfile).toBe(outside), { dockerfile: outside });
    put("patches/0001.patch", "--- /dev/null\n+++ b/Dockerfile\n@@ -0,0 +1 @@\n+FROM scratch\n");
    await prepared(({ context, dockerfile }) => expect(dockerfile).toBe(join(context, "Dockerfile")));
  });

  const windows = (text: string) => text.replaceAll("\n", "\r\n");
  const bare = (text: string) => text.replaceAll(/^(---|\+\+\+) [ab]\//gm, "$1 ");
  const utf16 = (text: string) => Buffer.from(`\uFEFF${windows(text)}`, "utf16le");
  const change = "--- a/lines.txt\n+++ b/lines.txt\n@@ -1,3 +1,3 @@\n one\n-two\n+TWO\n three\n";
  const lines = "one\ntwo\nthree\n";
  const changedLines = "one\nTWO\nthree\n";

  it.each<[string, string, string | Buffer, string]>([
    ["as git makes it", lines, change, changedLines],
    ["with Windows line endings, of a source that has none", lines, windows(change), changedLines],
    ["without Windows line endings, of a source that has them", windows(lines), change, windows(changedLines)],
    [
      "with Windows line endings, of a source that has them too",
      windows(lines),
      windows(change),
      windows(changedLines),
    ],
    ["without a/ and b/", lines, bare(change), changedLines],
    ["without a/ and b/, and with Windows line endings", lines, windows(bare(change)), changedLines],
    ["of two directories", lines, change.replace("a/", "old/").replace("b/", "new/"), changedLines],
    ["of a source with a few other line endings", "one\r\ntwo\nthree\n", change, changedLines],
    ["as PowerShell writes it", lines, utf16(change), changedLines],
    ["with a byte order mark", lines, `\uFEFF${change}`, changedLines],
    ["without the end of its last line", lines, change.trimEnd(), changedLines],
  ])("takes a patch %s", async (_, before, text, after) => {
    put("lines.txt", before);
    mkdirSync(join(path, "patches"));
    writeFileSync(join(path, "patches", "0001.patch"), text);
    await prepared(({ context }) => expect(readFileSync(join(context, "lines.txt"), "utf8")).toBe(after));
    expect(readFileSync(join(path, "lines.txt"), "utf8")).toBe(before);
  });

  it("is patched at the path of a patch without a/ and b/", async () => {
    put("patches/0001.patch", "--- /dev/null\n+++ shop/new.py\n@@ -0,0 +1 @@\n+x\n");
    await prepared(({ context }) => expect(existsSync(join(context, "shop/new.py"))).toBe(true));
  });

  it("keeps the line endings of a renamed file", async () => {
    put("lines.txt", windows(lines));
    put(
      "patches/0001.patch",
      `diff --git a/lines.txt b/other.txt\nsimilarity index 60%\nrename from lines.txt\nrename to other.txt\n${change.replace("b/lines", "b/other")}`,
    );
    await prepared(({ context }) =>
      expect(readFileSync(join(context, "other.txt"), "utf8")).toBe(windows(changedLines)),
    );
  });

  it("accepts a patch in any form that editors and systems write", async () => {
    const word = fc.stringMatching(/^[a-zø👩 ]{0,6}$/u);
    const forms = fc.record({ file: fc.boolean(), patch: fc.boolean(), bare: fc.boolean(), utf16: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(
        fc.array(word, { minLength: 1, maxLength: 12 }),
        fc.nat(11),
        word,
        forms,
        async (all, at, by, form) => {
          const i = at % all.length;
          const after = all.map((line, j) => (j === i ? `${by}!` : line));
          const whole = (text: string[]) => (form.file ? windows : (same: string) => same)(`${text.join("\n")}\n`);
          put("lines.txt", whole(all));
          let text = createTwoFilesPatch("a/lines.txt", "b/lines.txt", `${all.join("\n")}\n`, `${after.join("\n")}\n`);
          if (form.bare) text = bare(text);
          if (form.patch) text = windows(text);
          rmSync(join(path, "patches"), { recursive: true, force: true });
          mkdirSync(join(path, "patches"));
          writeFileSync(join(path, "patches", "0001.patch"), form.utf16 ? utf16(text) : text);
          await prepared(({ context }) => expect(readFileSync(join(context, "lines.txt"), "utf8")).toBe(whole(after)));
        },
      ),
      runs(25),
    );
  });

  it("omits files that no image can contain, and reports them", async () => {
    await execa("mkfifo", [join(path, "shop", "pipe")]);
    const server = createServer().listen(join(path, "run.sock"));
    await once(server, "listening");
    try {
      await prepared(({ context, changes }) => {
        expect(changes.slice(0, 2)).toEqual([
          "run.sock is left out: it is a socket",
          "shop/pipe is left out: it is a FIFO",
        ]);
        expect([existsSync(join(context, "run.sock")), existsSync(join(context, "shop/pipe"))]).toEqual([false, false]);
        expect(existsSync(join(context, "shop/wsgi.py"))).toBe(true);
      });
    } finally {
      server.close();
    }
  });

  it("may be a link, and may have a file or a pipe where patches are expected", async () => {
    put("patches/0001.patch", patch("one", "two"));
    await execa("mkfifo", [join(path, "patches", "0002.patch")]);
    const link = join(mkdtempSync(join(tmpdir(), "link-")), "shop");
    symlinkSync(path, link);
    await prepared(({ changes }) => expect(changes[0]).toBe("patches/0001.patch is applied"), { path: link });
    rmSync(join(path, "patches"), { recursive: true });
    put("patches", "a file\n");
    expect(await refused()).toBe("accepted");
  });

  it("that cannot be copied is refused with one sentence", async () => {
    put("manage.py", "");
    expect(await refused({ path: tmpdir() })).toMatch(/^ConfigError: --path: .* cannot be copied: [^\n]+$/);
  });

  describe("with manage.py and settings of any kind", () => {
    const manage = (settings: string) => `os.environ.setdefault("DJANGO_SETTINGS_MODULE", "${settings}")\n`;
    beforeEach(() => rmSync(join(path, "shop"), { recursive: true }));

    it.each<[string, Record<string, string>, Partial<Source>]>([
      [
        "below",
        { "src/manage.py": manage("shop.settings"), "src/shop/wsgi.py": "" },
        { directory: "src", application: "shop.wsgi", interface: "wsgi" },
      ],
      [
        "named otherwise",
        { "manage.py": 'os.environ["DJANGO_SETTINGS_MODULE"] = "config.base"\n', "config/wsgi.py": "" },
        { application: "config.wsgi" },
      ],
      [
        "with a default",
        { "manage.py": "config('DJANGO_SETTINGS_MODULE', default='config.base')\n", "config/wsgi.py": "" },
        { application: "config.wsgi" },
      ],
      ["without a package", { "manage.py": manage("settings"), "wsgi.py": "" }, { application: "wsgi" }],
      [
        "with wsgi as a package",
        { "manage.py": manage("shop.settings"), "shop/wsgi/__init__.py": "" },
        { application: "shop.wsgi" },
      ],
      [
        "with wsgi elsewhere",
        { "manage.py": manage("shop.settings"), "server/wsgi.py": "" },
        { application: "server.wsgi" },
      ],
      [
        "with ASGI alone",
        { "manage.py": manage("shop.settings"), "shop/asgi.py": "", "requirements.txt": "uvicorn\n" },
        { application: "shop.asgi", interface: "asgi", changes: [] },
      ],
      [
        "with both interfaces",
        { "manage.py": manage("shop.settings"), "shop/asgi.py": "", "shop/wsgi.py": "" },
        { application: "shop.wsgi", interface: "wsgi" },
      ],
      [
        "that say nothing",
        { "manage.py": "", "shop/wsgi.py": "", ".venv/wsgi.py": "", "env/pyvenv.cfg": "", "env/wsgi.py": "" },
        { application: "shop.wsgi" },
      ],
    ])("%s is served", async (_, files, expected) => {
      rmSync(join(path, "manage.py"));
      for (const [file, text] of Object.entries(files)) put(file, text);
      await prepared((source) => expect(source).toMatchObject(expected));
    });

    it("is served by --application", async () => {
      put("shop/server.py", "from django.core.asgi import get_asgi_application\napp = get_asgi_application()\n");
      put("requirements.txt", "uvicorn-worker\n");
      await prepared((source) => expect(source).toMatchObject({ application: "shop.server:app", interface: "asgi" }), {
        application: "shop.server:app",
      });
    });

    it.each<[string, Record<string, string>, Partial<Given>, string]>([
      [
        "several manage.py",
        { "a/manage.py": "", "b/manage.py": "" },
        {},
        "--path: found a/manage.py, b/manage.py in PATH; expected one manage.py: name its directory",
      ],
      [
        "several applications",
        { "manage.py": "", "a/wsgi.py": "", "b/wsgi.py": "" },
        {},
        "--path: found a.wsgi, b.wsgi in PATH; expected --application with one of them",
      ],
      [
        "no application",
        { "manage.py": manage("shop.settings") },
        {},
        "--path: there is no wsgi or asgi module in PATH, whose settings are shop.settings; expected one, or --application with what gunicorn serves",
      ],
      [
        "no module",
        { "manage.py": "" },
        { application: "shop wsgi" },
        "--application: found shop wsgi; expected a Python module such as mysite.wsgi",
      ],
      [
        "ASGI without requirements",
        { "manage.py": "", "shop/asgi.py": "" },
        {},
        "--path: shop.asgi is served by uvicorn, which the supplied requirements.txt lacks; expected one that names it",
      ],
      [
        "a context elsewhere",
        { "manage.py": "" },
        { buildContext: "/nowhere" },
        "--build-context: found /nowhere; expected a directory that has PATH in it",
      ],
      [
        "a Dockerfile that cannot be built",
        { "manage.py": "", "wsgi.py": "", Dockerfile: "FROM scratch\nCOPY gone /\n" },
        {},
        "Dockerfile: line 2: COPY gone: there is no such file in the build context",
      ],
    ])("%s is refused", async (_, files, changes, message) => {
      rmSync(join(path, "manage.py"));
      for (const [file, text] of Object.entries(files)) put(file, text);
      expect(await refused(changes)).toBe(`ConfigError: ${message.replace("PATH", path)}`);
    });

    it("reports what it cannot detect about ASGI", async () => {
      put("shop/asgi.py", "");
      put("requirements.txt", "Django\n");
      await prepared(({ changes }) =>
        expect(changes).toEqual(["shop.asgi is served by uvicorn, which none of the requirements names"]),
      );
    });

    it("may be a subfolder of the build context", async () => {
      put("backend/src/manage.py", manage("shop.settings"));
      put("backend/src/shop/wsgi.py", "");
      put("backend/patches/0001.patch", "--- a/src/shop/wsgi.py\n+++ b/src/shop/wsgi.py\n@@ -0,0 +1 @@\n+x\n");
      put("lib/common.py", "");
      put("Dockerfile", "FROM scratch\nCOPY lib backend/src /app/\n");
      await prepared(
        (source) => {
          expect(source).toMatchObject({ directory: "backend/src", application: "shop.wsgi" });
          expect(source.dockerfile).toBe(join(source.context, "Dockerfile"));
          expect(readFileSync(join(source.context, "backend/src/shop/wsgi.py"), "utf8")).toBe("x\n");
          expect(existsSync(join(source.context, "lib/common.py"))).toBe(true);
        },
        { path: join(path, "backend"), buildContext: path },
      );
    });

    it("is served or refused with one sentence, whatever its content", async () => {
      const folders = fc.constantFrom("", "src/", "a/b/", ".venv/", "shop/", "src/shop/", "å/");
      const names = fc.constantFrom(
        "manage.py",
        "wsgi.py",
        "asgi.py",
        "settings.py",
        "wsgi/__init__.py",
        "Dockerfile",
        "requirements.txt",
        "x.patch",
      );
      const texts = fc.constantFrom(
        "",
        manage("shop.settings"),
        manage("settings"),
        "FROM scratch\r\n",
        "uvicorn",
        "\u0000",
        "RUN <<E\nE\n",
      );
      await fc.assert(
        fc.asyncProperty(fc.array(fc.tuple(folders, names, texts), { maxLength: 8 }), async (files) => {
          rmSync(path, { recursive: true });
          mkdirSync(path);
          for (const [folder, name, text] of files) put(folder + name, text);
          const outcome = await refused();
          // A user's mistake, never a defect of the command.
          if (outcome !== "accepted") expect(outcome).toMatch(/^ConfigError: ((--path|Dockerfile): .+(\n|$))+$/);
        }),
        runs(60),
      );
    });
  });

  it("is refused with the name of the first patch that does not apply", async () => {
    put("patches/0001.patch", patch("nine", "ten"));
    put("patches/0002.patch", patch("one", "two"));
    expect(await refused()).toBe(
      "ConfigError: patches/0001.patch does not apply: error: patch failed: greeting.txt:1; error: greeting.txt: patch does not apply",
    );
  });

  it("is refused with all problems at once", async () => {
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
