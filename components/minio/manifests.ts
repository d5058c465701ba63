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

/** The policy of the platform's user: every operation on these buckets, none on others. */
export const policy = (buckets: string[]) =>
  JSON.stringify(
    {
      Version: "2012-10-17",
      Statement: [
        {
          Effect: "Allow",
          Action: ["s3:ListBucket", "s3:GetBucketLocation", "s3:ListBucketMultipartUploads"],
          Resource: buckets.map((bucket) => `arn:aws:s3:::${bucket}`),
        },
        {
          Effect: "Allow",
          Action: [
            "s3:GetObject",
            "s3:PutObject",
            "s3:DeleteObject",
            "s3:AbortMultipartUpload",
            "s3:ListMultipartUploadParts",
          ],
          Resource: buckets.map((bucket) => `arn:aws:s3:::${bucket}/*`),
        },
      ],
    },
    null,
    2,
  );

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

/** Job: creates the buckets, the platform's policy and its user. Idempotent; it never removes a bucket. */
export const bucketsScript = (root: TypedSecret<"root-user" | "root-password">, url: string) =>
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
mc admin policy create server ${platformUser} /etc/minio/policy.json
# By standard input: as arguments every process could read them. A user who is there gets the new key.
printf '%s\\n%s\\n' "$ACCESS_KEY" "$SECRET_KEY" | mc admin user add server
attached="$(mc admin policy attach server ${platformUser} --user "$ACCESS_KEY" 2>&1)" ||
  case "$attached" in
    *"already in effect"*) ;;
    *) echo "$attached" >&2; exit 1 ;;
  esac
`.trim();
