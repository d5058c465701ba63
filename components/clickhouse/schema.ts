import { auth, block, enabled, image, resources, service, storage } from "../../config/fields.ts";

export const clickhouse = block({
  enabled: enabled(),
  image: image("clickhouse"),
  resources: resources({ cpu: "100m", memory: "768Mi", limit: "1Gi" }),
  storage: storage("20Gi"),
  service,
  auth: auth("the keys username, which is platform, and password"),
}).prefault({});
