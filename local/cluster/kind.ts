import { execa } from "execa";

/** Whether a Docker daemon answers this user. */
export async function dockerAnswers(): Promise<boolean> {
  const { failed } = await execa("docker", ["version", "--format", "{{.Server.Version}}"], {
    reject: false,
    timeout: 10_000,
  });
  return !failed;
}
