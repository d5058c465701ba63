import { derived, mapFields, when } from "../../config/derived.ts";
import type { RolePods } from "../../config/pods.ts";
import type { Container, Pod, Volume } from "./pod.ts";

/** Whether the cluster gives each namespace a range of user ids of its own, and refuses pods that name another one. */
export const choosesUsers = derived("choosesUsers", (cluster: string): boolean => cluster === "openshift");

/** Whether pods name their user and group: unless the cluster chooses them. A stack that names a user has the right to it. */
export const namesIds = derived(
  "namesIds",
  ({ runAsUser }: Pick<RolePods, "runAsUser">, cluster: string): boolean =>
    runAsUser !== undefined || !choosesUsers(cluster),
);

/** Name of the init container and of its volume. */
const namesUser = "names-user";

/**
 * Writes the accounts of the image, and one named `$1` for the user id that the cluster chose. Some container runtimes add
 * one too, CRI-O does, under another name.
 */
const script = `
me=$(id -u)
grep -v "^[^:]*:[^:]*:$me:" /etc/passwd > /accounts/passwd
echo "$1:x:$me:0::/tmp:/sbin/nologin" >> /accounts/passwd
`.trim();

/** The init container that writes /etc/passwd for a pod whose software looks up the name of its user. */
const userWriter = (image: Container<never>["image"], name: string): Container<typeof namesUser> => ({
  image,
  command: ["sh", "-eu", "-c", script, "sh", name],
  resources: { requests: { cpu: "5m", memory: "16Mi" }, limits: { memory: "32Mi" } },
  mounts: { "/accounts": namesUser },
});

const userVolume: Volume = { emptyDir: { sizeLimit: "1Mi", medium: "Memory" } };

/** What each container of such a pod mounts. */
const userMount = { "/etc/passwd": { volume: namesUser, subPath: "passwd", readOnly: true } } as const;

/** The pod with an entry for its user in /etc/passwd, if the cluster chooses the user. */
export function withUser<V extends string>(spec: Pod<V>, name: string, chosen: boolean): Pod<string> {
  const { init, containers, volumes } = spec;
  const [first] = Object.values<Container<V>>(containers);
  if (!first) return spec;
  const mounting = (of: Record<string, Container<V>>) =>
    mapFields<Container<V>, Container<string>>(of, ([key, one]) => [
      key,
      { ...one, mounts: { ...one.mounts, ...when(chosen, () => userMount) } },
    ]);
  const writer = { [namesUser]: userWriter(first.image, name) };
  return {
    ...spec,
    init: init ? { ...when(chosen, () => writer), ...mounting(init) } : writer,
    containers: mounting(containers),
    volumes: { ...volumes, ...when(chosen, () => ({ [namesUser]: userVolume })) },
  };
}
