/**
 * Shell: sets `any` to `[::]`, every address of IPv4 and IPv6, or to 0.0.0.0 if the kernel has no IPv6. Set explicitly,
 * because servers such as gunicorn bind to IPv4 only by default.
 */
export const anyAddress = `any=0.0.0.0; [ ! -e /proc/net/if_inet6 ] || any="[::]"`;

/**
 * Command that runs gunicorn on `port` of every address. Its other options are the container's `args`. `before` are
 * lines of shell that run first.
 */
export const gunicorn = (port: number, before = ""): string[] => [
  "sh",
  "-c",
  `${before}${anyAddress}; exec gunicorn --bind "$any:${port}" "$@"`,
  "gunicorn",
];
