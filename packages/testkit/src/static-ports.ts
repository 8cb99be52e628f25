/** Below what Linux, Windows and macOS give to sockets that ask for any port, and above what services use. */
const FIRST_PORT = 10_000
const LAST_PORT = 32_767

/**
 * Ports that no kernel gives to a socket that asks for any port: from a random one on, without end.
 *
 * A test that needs a port without a socket takes the next of these that it can bind. A port that a closed socket had
 * is worse: the kernel may give that port to another socket at any time.
 */
export function* staticPorts(): Generator<number, never> {
  const count = LAST_PORT - FIRST_PORT + 1
  for (let index = Math.floor(Math.random() * count); ; index++) yield FIRST_PORT + (index % count)
}
