// Proves that Django applications serve a browser, keep votes when pods are deleted, update without a failed request,
// and keep the old version when the new one cannot be deployed.
// Does not prove an Ingress or a cloud's load balancer: the local cluster has neither.
// Exercises: polls, postgresql, apps/polls, apps/commands/django, components/django.
import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import {
  get,
  platform,
  podsOf,
  replacePod,
  runIn,
  secret,
  small,
  smallStack,
  stackFile,
  succeedPod,
  unready,
} from "./kit.ts";
import { heading, headingOf, noneFails, surveySource } from "./survey.ts";
import { openBrowser, siteOf, Visitor, voteForTea } from "./visitor.ts";

const { stack, core, apps } = small;
/** A separate copy, since `app` writes to it. */
const file = stackFile("dev", "{}");
const of = ["--stack", stack, "--config-file", file];

const question = `Tea or coffee, ${Date.now()}?`;
let polls: string;
let visitor: Visitor;
/** `/polls/1/` */
let page: string;

const results = () => visitor.results(page);

let browser: Browser | undefined;

beforeAll(async () => {
  await smallStack();
  polls = await siteOf("polls", apps);
  visitor = new Visitor(polls);
  browser = await openBrowser();
});

afterAll(async () => {
  await browser?.close();
});

describe("polls", () => {
  it("is ready, and its health check queries the database", async () => {
    expect((await unready(apps)).filter((one) => / (polls|django-)/.test(one))).toEqual([]);
    await visitor.reached();
    expect((await visitor.ask("/healthz")).page).toBe("ok\n");
  });

  it("answers only to its own host names", async () => {
    const { stdout } = await execa("curl", [
      "-s",
      "-o",
      "/dev/null",
      "-w",
      "%{http_code}",
      "-H",
      "Host: x.example",
      polls,
    ]);
    expect(stdout).toBe("400");
  });

  it("serves static files under names with a content hash", async () => {
    const { page: text } = await visitor.ask("/polls/");
    const style = /href="(\/static\/polls\/style\.[0-9a-f]{12}\.css)"/.exec(text)?.[1] ?? "";
    expect((await visitor.ask(style)).page).toContain("font:");
  });

  it("admits the administrator with the Secret's password only, to create a question", async () => {
    const { password = "" } = await secret("polls-admin", apps);
    expect(await new Visitor(polls).login("wrong")).toBe(200);
    const admin = new Visitor(polls);
    expect(await admin.login(password)).toBe(302);
    page = await admin.makeQuestion(question);
    expect(await results()).toEqual({ Tea: 0, Coffee: 0 });
  });

  it("accepts a vote from a browser, which shows the result", async ({ skip }) => {
    if (!browser) return skip("no browser starts here");
    expect(await voteForTea(browser, polls + page)).toEqual({
      title: question,
      results: ["Tea: 1 vote", "Coffee: 0 votes"],
    });
  });

  it("accepts a vote with a CSRF token, and refuses one without", async () => {
    const { page: form } = await visitor.ask(page);
    const [, choice = ""] = /value="(\d+)"> Coffee/.exec(form)!;
    const before = await results();
    expect(await visitor.voteForCoffee(page)).toBe(302);
    expect((await new Visitor(polls).ask(`${page}vote/`, { choice })).status).toBe(403);
    expect(await results()).toEqual({ ...before, Coffee: 1 });
  });

  it("keeps the votes when its pod or PostgreSQL's is deleted", async () => {
    const before = await results();
    expect(before).toMatchObject({ Coffee: 1 });
    await succeedPod("polls", "web", apps);
    await visitor.reached();
    expect(await results()).toEqual(before);
    await replacePod("postgresql-0", core);
    await visitor.reached();
    expect(await results()).toEqual(before);
  });
});

describe("an application from elsewhere", () => {
  const name = "survey";
  const source = surveySource();
  const patches = join(source, "patches");
  let survey: string;

  const app = (command: string, version: string, more: string[] = []) =>
    platform(["app", command, ...of, "--name", name, "--path", source, "--version", version, ...more]);
  const entry = () => parse(readFileSync(file, "utf8")).config["data-platform:djangoApps"]?.[name];
  const headingNow = () => headingOf(survey);

  afterAll(() => rmSync(source, { recursive: true }));

  it("is checked without being built or deployed", async () => {
    const { exitCode, all } = await app("validate", "1.0.0");
    expect(all).toContain("patches/0001-heading.patch is applied");
    expect(all).toContain("valid: survey 1.0.0 → gunicorn serves mysite.wsgi; its build was not tried");
    expect(exitCode).toBe(0);
    expect(entry()).toBeUndefined();
  });

  it("is created from its source, its patches and missing requirements", async () => {
    const url = "postgres://$(DATABASE_USER):$(DATABASE_PASSWORD)@$(DATABASE_HOST):$(DATABASE_PORT)/$(DATABASE_NAME)";
    const { exitCode, all } = await app("create", "1.0.0", ["--env", `DATABASE_URL=${url}`]);
    expect(all).toContain("requirements.txt is supplied");
    expect({ exitCode, all: exitCode === 0 || all }).toEqual({ exitCode: 0, all: true });
    expect(entry().image).toMatch(/^apps\/survey:1\.0\.0@sha256:[0-9a-f]{64}$/);
    survey = await siteOf(`django-${name}`, apps);
    expect(await headingNow()).toBe("Survey one");
    // Only the copy was patched.
    expect(readFileSync(join(source, "polls/templates/polls/index.html"), "utf8")).toContain("<h1>Polls</h1>");
  });

  it("gets its variables with their placeholders replaced", async () => {
    const [pod = ""] = await podsOf(`django-${name}`, "web", apps);
    const url = await runIn(pod, apps, "web", ["printenv", "DATABASE_URL"]);
    const { password } = await secret(`postgresql-user-django-${name}`, core);
    expect(url.trim()).toMatch(/^postgres:\/\/django_survey:\w+@postgresql\.[\w.-]+:5432\/django_survey$/);
    expect(url.includes(`:${password}@`)).toBe(true);
  });

  it("is updated under load without a failed request", async () => {
    writeFileSync(join(patches, "0002-heading.patch"), heading("Survey one", "Survey two"));
    await noneFails(survey, ["Survey one", "Survey two"], async () => {
      const { exitCode, all } = await app("update", "1.1.0");
      expect({ exitCode, all: exitCode === 0 || all }).toEqual({ exitCode: 0, all: true });
    });
  });

  describe("that cannot be deployed", () => {
    const broken = () => join(patches, "0003-broken.patch");
    let before: unknown;
    beforeAll(() => {
      before = entry();
    });

    it("because a patch does not apply: the error names the patch", async () => {
      writeFileSync(broken(), heading("Survey nine", "Survey ten"));
      for (const command of ["validate", "update"]) {
        const { exitCode, all } = await app(command, "1.2.0");
        expect(all).toMatch(/^patches\/0003-broken\.patch does not apply: error: patch failed: polls\/templates/m);
        expect(exitCode).toBe(2);
      }
      rmSync(broken());
    });

    it("because it has no Dockerfile: the error names the folder", async () => {
      rmSync(join(source, "Dockerfile"));
      for (const command of ["validate", "update"]) {
        const { exitCode, all } = await app(command, "1.2.0");
        expect(all).toContain(
          `--path: there is no Dockerfile in ${source}; expected one there, or elsewhere with --dockerfile`,
        );
        expect(exitCode).toBe(2);
      }
      cpSync("apps/polls/Dockerfile", join(source, "Dockerfile"));
    });

    it("because a migration fails: the error has the migration's message", async () => {
      const migration = join(source, "polls", "migrations", "0002_broken.py");
      writeFileSync(
        migration,
        `from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("polls", "0001_initial")]
    operations = [migrations.RunSQL("UPDATE no_such_table SET votes = 0")]
`,
      );
      const { exitCode, all } = await app("update", "1.2.0");
      expect(all).toMatch(new RegExp(`Job ${apps}/django-survey-migrate-[0-9a-f]{8}: [^]*failed to initialize`));
      expect(all).toContain('relation "no_such_table" does not exist');
      expect(all).toContain("Pulumi.dev.yaml is as it was before");
      expect(exitCode).toBe(1);
      rmSync(migration);
    });

    it("leaves the old version running, and the stack's file unchanged", async () => {
      expect(await headingNow()).toBe("Survey two");
      expect(entry()).toEqual(before);
      const { exitCode } = await platform(["status", ...of]);
      expect(exitCode).toBe(0);
    });
  });

  it("is deleted, and polls stays", async () => {
    const { exitCode } = await platform(["app", "delete", ...of, "--name", name]);
    expect(exitCode).toBe(0);
    expect(entry()).toBeUndefined();
    expect(await get("Service", `django-${name}`, apps)).toBeUndefined();
    await visitor.reached();
  });
});
