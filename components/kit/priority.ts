import * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import { type Priority, priorities } from "../../config/pods.ts";

/** Name of one of the stack's PriorityClasses. They belong to no namespace, so the stack is part of the name. */
export const priorityClass = (stack: string, priority: Priority): string => `${stack}-${priority}`;

/** Above pods without a class, which have 0, and far below the cluster's own, which begin at 2,000,000,000. */
const values: Record<Priority, number> = { storage: 3000, compute: 2000, web: 1000 };

const descriptions: Record<Priority, string> = {
  storage: "Databases, queues and object storage: everything else needs them.",
  compute: "Query engines, schedulers and their workers.",
  web: "Applications, dashboards and monitoring.",
};

/** Creates the stack's PriorityClasses. A pod that names one which does not exist is refused, so they come first. */
export const priorityClasses = (stack: string, opts: pulumi.CustomResourceOptions): pulumi.Resource[] =>
  priorities.map(
    (priority) =>
      new k8s.scheduling.v1.PriorityClass(
        `priority-${priority}`,
        {
          metadata: {
            name: priorityClass(stack, priority),
            labels: {
              "app.kubernetes.io/part-of": "data-platform",
              "app.kubernetes.io/instance": stack,
              "app.kubernetes.io/managed-by": "pulumi",
            },
          },
          value: values[priority],
          description: descriptions[priority],
        },
        opts,
      ),
  );
