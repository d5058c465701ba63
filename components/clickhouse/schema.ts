import { auth, block, enabled, image, resources, service, storage } from "../../config/fields.ts";
import { component } from "../kit/definition.ts";
import { clickhouseImages } from "./images.ts";

const config = block({
  enabled: enabled(),
  // A long-term release; the image built from packages is eight years older: see docs/clickhouse.md.
  image: image("clickhouse/clickhouse-server:26.3.4.1"),
  resources: resources({ cpu: "100m", memory: "768Mi", limit: "1Gi" }),
  storage: storage("20Gi"),
  service,
  auth: auth("the keys username, which is platform, and password"),
}).prefault({});

export const clickhouse = component({
  title: "ClickHouse",
  summary: "Column store for analytics",
  folder: "clickhouse",
  images: clickhouseImages,
  namespace: "apps",
  config,
});
