/**
 * For a shell: sets `any` to every address of both families, or to every IPv4 address where the kernel has no IPv6.
 * One socket on `[::]` serves both. Servers such as gunicorn take an address without a host for IPv4 alone.
 */
export const anyAddress = `any=0.0.0.0; [ ! -e /proc/net/if_inet6 ] || any="[::]"`;

/**
 * The command that runs gunicorn on a port of every address, IPv4 and IPv6. Its other options are arguments.
 * `before` are lines of shell that run first.
 */
export const gunicorn = (port: number, before: string[] = []): string[] => [
  "sh",
  "-c",
  [...before, `${anyAddress}; exec gunicorn --bind "$any:${port}" "$@"`].join("\n"),
  "gunicorn",
];
