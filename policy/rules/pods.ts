import { parseImage } from "../../config/images.ts";
import { type Container, perContainer, podOf, type Rule } from "./object.ts";

/** Pod Security Standard `restricted`, and a read-only root file system. */
export const restricted: Rule = (object) => {
  const pod = podOf(object);
  if (!pod) return [];
  const { spec } = pod;
  const problems: string[] = [];
  const require = (holds: boolean, problem: string) => holds || problems.push(problem);
  for (const field of ["hostNetwork", "hostPID", "hostIPC"]) require(!spec[field], `${field} is set`);
  require(spec.securityContext?.runAsNonRoot === true, "the pod may run as root");
  require(spec.securityContext?.runAsUser !== 0, "the pod runs as root");
  require(spec.securityContext?.seccompProfile?.type === "RuntimeDefault", "no seccomp profile");
  const allowed = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
  ];
  for (const { name, ...source } of spec.volumes ?? [])
    for (const kind of Object.keys(source)) require(allowed.includes(kind), `volume ${name} is of kind ${kind}`);
  return [...problems, ...containers(object)];
};

const containers = perContainer(({ securityContext: context = {}, ports = [] }) => [
  ...(context.allowPrivilegeEscalation === false ? [] : ["it may gain privileges"]),
  ...(context.privileged ? ["it is privileged"] : []),
  ...(context.readOnlyRootFilesystem === true ? [] : ["its root file system can be written"]),
  ...(context.capabilities?.drop?.includes("ALL") ? [] : ["it keeps capabilities"]),
  ...(context.capabilities?.add?.some((one: string) => one !== "NET_BIND_SERVICE") ? ["it adds capabilities"] : []),
  ...(ports.some((port: { hostPort?: number }) => port.hostPort) ? ["it takes a port of the node"] : []),
]);

/** Requests, and limits of memory and disk, on every container. Without them a container starves its neighbours. */
export const bounded = perContainer(({ resources }) => [
  ...(resources?.requests?.cpu ? [] : ["no CPU request"]),
  ...(resources?.requests?.memory ? [] : ["no memory request"]),
  ...(resources?.limits?.memory ? [] : ["no memory limit"]),
  ...(resources?.requests?.["ephemeral-storage"] ? [] : ["no ephemeral-storage request"]),
  ...(resources?.limits?.["ephemeral-storage"] ? [] : ["no ephemeral-storage limit"]),
]);

/** A version or a digest: with a moving tag, two pods of one manifest may differ. */
export const pinned = perContainer(({ image }) => {
  const { tag, digest } = parseImage(image) ?? {};
  return digest || (tag && tag !== "latest") ? [] : [`image ${image} has no version`];
});

/** No service links, its own service account, and no token unless an annotation gives the reason. */
export const isolated: Rule = (object) => {
  const pod = podOf(object);
  if (!pod) return [];
  const { spec } = pod;
  const reason = pod.annotations["data-platform/talks-to-api"];
  return [
    ...(spec.enableServiceLinks === false ? [] : ["service links are on"]),
    ...(spec.automountServiceAccountToken === false || reason
      ? []
      : ["the service account's token is mounted, and no annotation data-platform/talks-to-api says why"]),
    ...(spec.serviceAccountName && spec.serviceAccountName !== "default" ? [] : ["it runs as the default account"]),
  ];
};

/** Minimum of seconds that a startup probe allows: on two CPUs, a whole stack starts slowly. */
const leastStart = 300;

/** All three probes on every server, and enough time to start. */
export const probed: Rule = (object) => {
  const pod = podOf(object);
  if (!pod || !["Deployment", "StatefulSet", "DaemonSet"].includes(object.kind)) return [];
  return pod.spec.containers.flatMap((container: Container) => {
    const { periodSeconds = 10, failureThreshold = 3 } = container.startupProbe ?? {};
    const time = periodSeconds * failureThreshold;
    return [
      // Readiness matters to Services only: a container without ports needs no probe for it.
      ...["startupProbe", ...(container.ports ? ["readinessProbe"] : []), "livenessProbe"]
        .filter((probe) => !container[probe])
        .map((probe) => `${container.name}: no ${probe}`),
      ...(container.startupProbe && time < leastStart
        ? [`${container.name}: it has ${time} s to start; expected at least ${leastStart}`]
        : []),
    ];
  });
};

/** Secrets come by reference: no plain value in a variable that is named like one. */
export const noPlainSecrets = perContainer(({ env = [] }) =>
  env
    .filter(
      ({ name, value }: { name: string; value?: string }) => value && /PASSWORD|SECRET|TOKEN|API_?KEY/i.test(name),
    )
    .map(({ name }: { name: string }) => `${name} has a plain value`),
);
