import { z } from "zod";
import { auth, block, enabled, image, resources, service, storage } from "../../config/fields.ts";
import { workload } from "../../config/pods.ts";
import { secretSetting, takenSetting } from "../../config/settings.ts";
import { component } from "../kit/definition.ts";
import { clickhouseImages } from "./images.ts";

/** One element of a configuration file, as ClickHouse writes it in YAML: a text, elements by their names, or a list. */
export type Element = string | number | boolean | null | Element[] | { [name: string]: Element };
const element: z.ZodType<Element> = z
  .lazy(() =>
    z.union([z.string(), z.number(), z.boolean(), z.null(), z.array(element), z.record(z.string(), element)], {
      error: "expected a text, a number, true or false, a list, or elements by their names",
    }),
  )
  .meta({ id: "ClickHouseElement" });
const elementName = /^[A-Za-z_][\w.-]*$/;

/** Elements of a file, checked: names, no password in plain text, and none of `taken`, paths with dots. */
const elements = (taken: Readonly<Record<string, string>>) =>
  z
    .record(z.string(), element, { error: "expected elements by their names" })
    .superRefine((all, context) => {
      const visit = (found: Element, path: PropertyKey[], key: string): void => {
        const refuse = (message: string, hidden = false) =>
          context.addIssue({ code: "custom", path, input: found, message, params: { hidden } });
        if (Array.isArray(found)) {
          for (const [index, one] of found.entries()) visit(one, [...path, index], key);
          return;
        }
        const name = key.split(".").at(-1) ?? "";
        const instead = takenSetting(taken, key);
        if (key && instead !== undefined)
          refuse(
            `expected another setting: the platform sets this one${instead && `; use ${instead} instead`}`,
            secretSetting.test(name),
          );
        else if (found !== null && typeof found === "object")
          for (const [inner, value] of Object.entries(found)) {
            if (!/^(#text|@[A-Za-z_][\w-]*)$/.test(inner) && !elementName.test(inner))
              context.addIssue({
                code: "custom",
                path: [...path, inner],
                input: value,
                message: "expected an element's name, or an attribute's after @",
              });
            else if (!inner.startsWith("@"))
              visit(value, [...path, inner], inner === "#text" ? key : [key, inner].filter(Boolean).join("."));
          }
        else if (secretSetting.test(name) && found !== null && found !== "")
          refuse(
            'expected no password here: write {"@from_env": NAME}, with the variable NAME from a Secret\'s key in env',
            true,
          );
        else if (typeof found === "string" && /[^\P{Cc}\n\t]/u.test(found))
          refuse("expected a text of printable characters");
      };
      visit(all, [], "");
    })
    .default({});

/** How clients connect, where data and logs are, and the users' file. */
const serverTaken = {
  access_control_path: "",
  default_database: "",
  default_profile: "",
  format_schema_path: "",
  http_port: "",
  https_port: "",
  interserver_http_host: "",
  interserver_http_port: "",
  listen_host: "",
  "logger.console": "",
  "logger.errorlog": "",
  "logger.log": "",
  path: "",
  "prometheus.endpoint": "",
  "prometheus.port": "",
  tcp_port: "",
  tcp_port_secure: "",
  tmp_path: "",
  user_directories: "clickhouse.users",
  user_files_path: "",
  users_config: "clickhouse.users",
};
/** The platform's own user. The names are those of `manifests.ts`. */
const usersTaken = { "users.platform": "clickhouse.auth", "users.platform.*": "clickhouse.auth" };

const config = block({
  enabled: enabled(),
  // A long-term release; the image built from packages is eight years older: see docs/clickhouse.md.
  image: image("clickhouse/clickhouse-server:26.3.4.1"),
  resources: resources({ cpu: "100m", memory: "768Mi", limit: "1Gi" }),
  storage: storage("20Gi"),
  ...workload({
    priority: "storage",
    sets: { HOME: "", PASSWORD: "clickhouse.auth" },
  }),
  service,
  auth: auth("the keys username, which is platform, and password"),
  settings: elements(serverTaken).describe(
    "Elements of the server's `config.xml`, in the form of ClickHouse's YAML files: `@name` is an attribute, a list repeats an element. A password is `{\"@from_env\": NAME}`.",
  ),
  users: elements(usersTaken).describe(
    "Elements of `users.xml` in the same form: `users`, `profiles` and `quotas`, such as the profile `default` of every query.",
  ),
}).prefault({});

export const clickhouse = component({
  title: "ClickHouse",
  summary: "Column store for analytics",
  folder: "clickhouse",
  images: clickhouseImages,
  namespace: "apps",
  config,
});
