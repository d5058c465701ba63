import { type Browser, chromium } from "playwright-core";
import { expect, vi } from "vitest";
import { debianPackages } from "../../local/cluster/debian.ts";
import { network } from "../../local/cluster/index.ts";
import { get, leadsToPods } from "./kit.ts";

/** The URL of an application at its NodePort, as soon as it answers. */
export async function siteOf(service: string, namespace: string): Promise<string> {
  await leadsToPods(service, 8000, namespace);
  const { spec } = (await get("Service", service, namespace))!;
  return `http://${network.address}:${spec.ports[0].nodePort}`;
}

/** A browser; undefined if none starts. */
export async function openBrowser(): Promise<Browser | undefined> {
  try {
    await debianPackages({ "chromium-headless-shell": "a browser to vote with" }, console.log);
    return await chromium.launch({
      executablePath: "/usr/bin/chromium-headless-shell",
      // Chromium has no sandbox as root, and every page is on this machine.
      args: ["--no-sandbox", "--no-proxy-server"],
    });
  } catch (error) {
    console.log(`skipped: the browser's vote, for no browser starts here: ${(error as Error).message.split("\n")[0]}`);
    return undefined;
  }
}

/** Votes in a browser, and reads the result page. */
export async function voteForTea(browser: Browser, question: string): Promise<{ title: string; results: string[] }> {
  const tab = await browser.newPage();
  try {
    await tab.goto(question);
    const title = await tab.title();
    await tab.getByLabel("Tea").check();
    await tab.getByRole("button", { name: "Vote" }).click();
    await tab.waitForURL("**/results/");
    return { title, results: await tab.getByRole("listitem").allTextContents() };
  } finally {
    await tab.close();
  }
}

/** A client of the polls application with cookies, which submits the forms of its pages. */
export class Visitor {
  private readonly cookies = new Map<string, string>();
  private readonly site: string;

  constructor(site: string) {
    this.site = site;
  }

  async ask(path: string, form?: Record<string, string>): Promise<{ status: number; page: string; location: string }> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const body = form && new URLSearchParams({ ...form, csrfmiddlewaretoken: this.cookies.get("csrftoken") ?? "" });
    const answer = await fetch(this.site + path, {
      redirect: "manual",
      headers: { connection: "close", ...(cookie && { cookie }) },
      ...(body && { method: "POST", body }),
    });
    for (const one of answer.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(one)!;
      this.cookies.set(name, value);
    }
    return { status: answer.status, page: await answer.text(), location: answer.headers.get("location") ?? "" };
  }

  /** Waits until the site answers: kube-proxy's rules follow the pods' readiness, and that follows the database. */
  async reached(): Promise<void> {
    const well = async () => expect((await this.ask("/healthz")).status).toBe(200);
    await vi.waitFor(well, { timeout: 90_000, interval: 500 });
  }

  async login(password: string): Promise<number> {
    await this.ask("/admin/login/");
    return (await this.ask("/admin/login/?next=/admin/", { username: "admin", password })).status;
  }

  /** As the administrator, creates a question with the answers Tea and Coffee. Returns its path, such as `/polls/1/`. */
  async makeQuestion(question: string): Promise<string> {
    await this.ask("/admin/polls/question/add/");
    const made = await this.ask("/admin/polls/question/add/", {
      question_text: question,
      pub_date_0: "2020-01-01",
      pub_date_1: "00:00:00",
      "choice_set-TOTAL_FORMS": "2",
      "choice_set-INITIAL_FORMS": "0",
      "choice_set-0-choice_text": "Tea",
      "choice_set-0-votes": "0",
      "choice_set-1-choice_text": "Coffee",
      "choice_set-1-votes": "0",
    });
    if (made.status !== 302) throw new Error(`the question was not made: status ${made.status}\n${made.page}`);
    // The newest is not always the first in the list: several may have the same date.
    const list = await this.ask(`/admin/polls/question/?q=${encodeURIComponent(question)}`);
    return `/polls/${/\/admin\/polls\/question\/(\d+)\/change/.exec(list.page)![1]}/`;
  }

  /** Votes for Coffee on a question's page. */
  async voteForCoffee(page: string): Promise<number> {
    const { page: form } = await this.ask(page);
    const [, choice = ""] = /value="(\d+)"> Coffee/.exec(form)!;
    return (await this.ask(`${page}vote/`, { choice })).status;
  }

  /** Number of votes by answer. */
  async results(page: string): Promise<Record<string, number>> {
    const { page: text } = await this.ask(`${page}results/`);
    return Object.fromEntries(
      [...text.matchAll(/<li>(\w+): (\d+) votes?<\/li>/g)].map(([, name = "", n]) => [name, Number(n)]),
    );
  }
}
