// The network of the bench:
//
//     guest ┄┄ peer ┄┄ host ──── world
//
// This process is in the host's namespace already (main.mjs made it); the world's is created here. The servers have
// another address than the gateway, whose address stands for the host's own loopback. All of it is gone with the
// processes.
import { chmodSync } from "node:fs"
import { Program, run } from "./processes.mjs"

const DEVICE = "bench0"
const INSIDE = "inside0"
const MTU = 65_535
export const servers = { 4: "198.51.100.7", 6: "2001:db8:2::7" }
/** The destination of traffic/flood.c's SYNs that stay inside the guest. */
export const addressInside = "203.0.113.2"
/** Of the host itself. */
export const localServers = { 4: "127.0.0.1", 6: "::1" }

/**
 * A network namespace: the prefix of a command that runs there.
 * @typedef {readonly string[]} Place
 */

/**
 * @param {number} pid
 * @returns {Place}
 */
export function networkOfProcess(pid) {
  return ["nsenter", `--net=/proc/${pid}/ns/net`]
}

/**
 * @param {Place} place
 * @param {readonly string[]} variables
 */
function set(place, ...variables) {
  run([...place, "sysctl", "-q", "-w", ...variables])
}

/**
 * The common set-up of every namespace, including a guest's.
 * @param {Place} place
 */
export function tune(place) {
  // Congestion control changes all figures. A namespace inherits the machine's.
  set(place, "net.ipv4.tcp_congestion_control=cubic")
  // Metrics of the path that the kernel cached with one peer must not affect the next.
  set(place, "net.ipv4.tcp_no_metrics_save=1", "net.ipv4.ip_local_port_range=1024 65535")
}

/**
 * Routes an address to a device inside a guest, which discards packets to it, while `during` runs.
 * @template T
 * @param {Place} place
 * @param {string} address
 * @param {() => Promise<T>} during
 */
export async function withDeviceInside(place, address, during) {
  configure(
    place,
    `link add ${INSIDE} type veth peer name ${INSIDE}-end`,
    `link set ${INSIDE}-end up`,
    `link set ${INSIDE} up`,
    `route add ${address} dev ${INSIDE}`,
    `neigh add ${address} lladdr 02:00:00:00:00:01 dev ${INSIDE}`,
  )
  try {
    return await during()
  } finally {
    configure(place, `link del ${INSIDE}`)
  }
}

/** @param {Place} place */
export function congestionControl(place) {
  return run([...place, "sysctl", "-n", "net.ipv4.tcp_congestion_control"]).trim()
}

/** Makes it. @returns {Promise<{ host: Place, world: Place }>} */
export async function makeNetwork() {
  // udev lets everybody open the device on an ordinary machine; in a bare container only root may.
  chmodSync("/dev/net/tun", 0o666)
  const holder = await new Promise((/** @type {(program: Program) => void} */ resolve) => {
    const program = new Program(["unshare", "--net", "sh", "-c", "echo ready; exec cat"], () => resolve(program))
  })
  /** @type {Place} */
  const host = []
  const world = networkOfProcess(holder.pid)
  set(host, "net.ipv4.ping_group_range=0 2147483647")
  for (const place of [host, world]) {
    set(place, "net.ipv6.conf.default.accept_dad=0")
    tune(place)
  }
  configure(
    host,
    "link set lo up",
    `link add ${DEVICE} mtu ${MTU} type veth peer name ${DEVICE} mtu ${MTU} netns ${holder.pid}`,
    `link set ${DEVICE} up`,
  )
  configure(
    world,
    "link set lo up",
    `link set ${DEVICE} up`,
    `addr add 192.0.2.1/24 dev ${DEVICE}`,
    `addr add 2001:db8:1::1/64 dev ${DEVICE} nodad`,
    `addr add ${servers[4]}/32 dev lo`,
    `addr add ${servers[6]}/128 dev lo nodad`,
  )
  configure(
    host,
    `addr add 192.0.2.2/24 dev ${DEVICE}`,
    `addr add 2001:db8:1::2/64 dev ${DEVICE} nodad`,
    "route add default via 192.0.2.1",
    "route add default via 2001:db8:1::1",
  )
  return { host, world }
}

/**
 * @param {Place} place
 * @param {readonly string[]} lines
 */
function configure(place, ...lines) {
  run([...place, "ip", "-batch", "-"], `${lines.join("\n")}\n`)
}
