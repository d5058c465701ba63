import * as pulumi from "@pulumi/pulumi";
import type { ComponentArgs } from "../kit/args.ts";
import { Component } from "../kit/component.ts";
import { files } from "../kit/config.ts";
import { type Door, expose, type Link } from "../kit/ingress.ts";
import { type LoginArgs, loginProxy, loginRole } from "../kit/login.ts";

/** What the landing page lists. */
export interface FrontDoorArgs extends ComponentArgs<LoginArgs["login"]> {
  door: Door;
  /** Components of which `./platform credentials` has a password. */
  passwords: string[];
}

/** The landing page, at the domain itself: each page with its link, whether it answers, and how to log in. */
export class FrontDoor extends Component {
  override readonly configKey = "frontDoor";

  constructor(name: string, args: FrontDoorArgs, opts?: pulumi.ComponentResourceOptions) {
    const { namespace, config, door, passwords } = args;
    super("FrontDoor", name, namespace, { image: config.image, pods: { priority: "web" } }, opts);
    const page = files(this, "page", { "index.html": landingPage(namespace.stack, door.links, passwords) });
    const front = loginProxy(this, {
      login: config,
      host: door.domain,
      files: page,
      upstreams: door.links.map(({ name, server }) => pulumi.interpolate`${server}${statePath}${name}`),
      connects: door.links.map(({ connects }) => connects),
    });
    expose(this, { role: loginRole, own: { host: door.domain } }, front);
    this.registerOutputs({});
  }
}

/**
 * Below it is a path for each page, whose requests go to the page's server. By its host name the browser would learn
 * nothing: it may not read another origin's answer, and the controller and the login answer for a server that does not.
 */
const statePath = "/state/";

const logins: Record<Link["login"], string> = { own: "its own", frontDoor: "the front door's", none: "none" };

/** Names and hosts have no character that HTML would interpret. */
const landingPage = (stack: string, links: readonly Link[], passwords: readonly string[]): string => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Data platform ${stack}</title>
<style>
  body { font: 16px system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
  table { border-collapse: collapse; width: 100% }
  td, th { border-bottom: 1px solid #ccc; padding: .5rem; text-align: left }
</style>
<h1>Data platform ${stack}</h1>
<table>
<thead><tr><th>page</th><th>state</th><th>login</th><th>password of the administrator</th></tr></thead>
${[...links]
  .sort((a, b) => (a.name < b.name ? -1 : 1))
  .map(({ name, url, login }) => {
    const password = passwords.includes(name) ? `<code>./platform credentials ${name} --stack ${stack}</code>` : "";
    return `<tr data-state="${statePath}${name}"><td><a href="${url}/">${name}</a></td><td>…</td><td>${logins[login]}</td><td>${password}</td></tr>`;
  })
  .join("\n")}
</table>
<script>
  // A server need not know the path, so an error of its own is an answer, and a redirect too, such as to its login.
  for (const row of document.querySelectorAll("tr[data-state]")) {
    const show = (answers) => { row.cells[1].textContent = answers ? "answers" : "does not answer" };
    fetch(row.dataset.state, { redirect: "manual", cache: "no-store" }).then(({ status }) => show(status < 502), () => show(false));
  }
</script>
</html>
`;
