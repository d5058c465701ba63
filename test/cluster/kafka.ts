// A client of Kafka that logs in, for the tests that use it.
import {
  Admin,
  Consumer,
  type ConsumerOptions,
  Producer,
  stringDeserializers,
  stringSerializers,
} from "@platformatic/kafka";
import { secret } from "./kit.ts";

/** Settings of a client that logs in as a user, by its Secret; without one of a client that does not. */
export async function connected(namespace: string, secretName?: string) {
  const { username = "", password = "" } = secretName ? await secret(secretName, namespace) : {};
  return {
    clientId: "logins",
    bootstrapBrokers: [`kafka.${namespace}.svc:9092`],
    retries: 5,
    retryDelay: 500,
    ...(secretName && { sasl: { mechanism: "SCRAM-SHA-512" as const, username, password } }),
  };
}
type Connected = Awaited<ReturnType<typeof connected>>;

/** The names of the topics that the client may describe. */
export async function topicsOf(client: Connected): Promise<string[]> {
  const admin = new Admin(client);
  try {
    return await admin.listTopics({});
  } finally {
    await admin.close();
  }
}

export async function write(client: Connected, topic: string, values: string[]): Promise<void> {
  const producer = new Producer({ ...client, serializers: stringSerializers });
  try {
    await producer.send({ acks: -1, messages: values.map((value) => ({ topic, partition: 0, key: value, value })) });
  } finally {
    await producer.close();
  }
}

/** The first messages of a topic. */
export async function readFirst(client: Connected, topic: string, groupId: string, count: number): Promise<string[]> {
  const options: ConsumerOptions<string, string, string, string> = {
    ...client,
    groupId,
    deserializers: stringDeserializers,
  };
  const consumer = new Consumer(options);
  try {
    const found: string[] = [];
    for await (const { value } of await consumer.consume({ topics: [topic], mode: "earliest" })) {
      found.push(value);
      if (found.length === count) break;
    }
    return found;
  } finally {
    await consumer.close(true);
  }
}

/** Why something failed: the messages of the error and of those inside it. "nothing" if it did not. */
export const failure = (work: Promise<unknown>): Promise<string> => work.then(() => "nothing", messages);

function messages(error: unknown): string {
  const { message, cause, errors = [] } = error as { message: string; cause?: unknown; errors?: unknown[] };
  return [message, ...[cause, ...errors].filter((one) => one !== undefined).map(messages)].join(" ");
}
