import { joined } from "../../config/derived.ts";
import { shellPassword } from "../kit/password.ts";
import type { SecretKey, TypedSecret } from "../kit/secret.ts";

/*
 * MinIO's policy and the scripts of its pods. Pure functions.
 */

export const ports = { s3: 9000, console: 9001 };
/** The platform's own user. It reads and writes the platform's buckets and nothing else. */
export const platformUser = "platform";
/** Exit code of the buckets Job if the image has no client: EX_CONFIG of sysexits.h. */
export const noClient = 78;

/** The variable with the key of a client's user. */
export const keyVariable = (client: string): string => `SECRET_KEY_${client.toUpperCase().replaceAll("-", "_")}`;

/** The policy of a user: every operation on these buckets, none on others. */
export const policy = (buckets: string[]) => {
  const list = (texts: string[]) => joined(texts, `,\n${" ".repeat(8)}`);
  return `{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": [
        "s3:ListBucket",
        "s3:GetBucketLocation",
        "s3:ListBucketMultipartUploads"
      ],
      "Resource": [
        ${list(buckets.map((bucket) => `"arn:aws:s3:::${bucket}"`))}
      ]
    },
    {
      "Effect": "Allow",
      "Action": [
        "s3:GetObject",
        "s3:PutObject",
        "s3:DeleteObject",
        "s3:AbortMultipartUpload",
        "s3:ListMultipartUploadParts"
      ],
      "Resource": [
        ${list(buckets.map((bucket) => `"arn:aws:s3:::${bucket}/*"`))}
      ]
    }
  ]
}`;
};

/** Checks a credential. MinIO trims spaces from root credentials and clients do not, so these are refused too. */
const checked = (variable: string, key: SecretKey) =>
  `
${shellPassword(variable, key)}
case "$${variable}" in " "* | *" ") echo "${key.title}: expected no space at its beginning or end" >&2; exit 1 ;; esac
`.trim();

export const startScript = (root: TypedSecret<"root-user" | "root-password">) =>
  `
${checked("MINIO_ROOT_USER", root.key("root-user"))}
${checked("MINIO_ROOT_PASSWORD", root.key("root-password"))}
exec minio server --console-address :${ports.console} "$@"
`.trim();

/** Shell: sets the policy of a user, who is named like it, and the key, and attaches one to the other. */
const user = (name: string, policyFile: string, accessKey: string, secretKey: string) =>
  `
mc admin policy create server ${name} /etc/minio/${policyFile}
# By standard input: as arguments every process could read them. A user who is there gets the new key.
printf '%s\\n%s\\n' "${accessKey}" "$${secretKey}" | mc admin user add server
attached="$(mc admin policy attach server ${name} --user "${accessKey}" 2>&1)" ||
  case "$attached" in
    *"already in effect"*) ;;
    *) echo "$attached" >&2; exit 1 ;;
  esac
`.trim();

/**
 * Job: creates the buckets, and the policies and users of the platform and its clients. Idempotent; it never removes a
 * bucket or a user.
 */
export const bucketsScript = (
  root: TypedSecret<"root-user" | "root-password">,
  url: string,
  clients: readonly string[],
) =>
  `
command -v mc >/dev/null || {
  echo "minio.image: this image has no mc, MinIO's client, which makes the buckets: see docs/minio.md" >&2
  exit ${noClient}
}
${checked("ROOT_USER", root.key("root-user"))}
${checked("ROOT_PASSWORD", root.key("root-password"))}
export MC_HOST_anybody=${url}
until mc ready anybody >/dev/null 2>&1; do echo "waiting for MinIO"; sleep 1; done
# By standard input, as below. In the address that MC_HOST_server would be, a colon of the password begins a token.
printf '%s\\n%s\\n' "$ROOT_USER" "$ROOT_PASSWORD" | mc alias set server ${url}
for bucket in $BUCKETS; do mc mb --ignore-existing "server/$bucket"; done
${[user(platformUser, "policy.json", "$ACCESS_KEY", "SECRET_KEY"), ...clients.map((one) => user(one, `${one}.json`, one, keyVariable(one)))].join("\n")}
`.trim();
