// Programs that connect a virtual machine. A namespace stands in for the machine: e2e/stand-in carries frames between
// its tap device and the program's socket, at native speed; e2e/vhost-stand-in shares memory with the program.
import { mkdirSync, readFileSync } from "node:fs"
import { asOrdinaryUser, makeNamespace } from "./ordinary-user.mjs"
import { eventually, family, Program, run } from "./processes.mjs"
import { networkOfProcess } from "./topology.mjs"

/** @typedef {import("./peers.mjs").Peer} Peer */

const DEFAULT_MTU = 65_520
const DEVICE = "tap0"
/** Flags of a socket in /proc/net/unix. */
const LISTENING = "00010000"
let socketNumber = 0

/**
 * Configures what DHCP and router advertisements would configure a moment later.
 * @param {number} mtu
 */
const configuration = (mtu) => [
  "link set lo up",
  `link set ${DEVICE} mtu ${mtu} up`,
  `addr add 192.0.2.2/24 dev ${DEVICE}`,
  `addr add 2001:db8:1::2/64 dev ${DEVICE} nodad`,
  "route add default via 192.0.2.1",
  `route add default via 2001:db8:1::1`,
]

/**
 * @param {string} name
 * @param {string} path
 * @param {string} folder Where the stand-in is, and where sockets go.
 * @param {string} version
 * @param {import("./peers.mjs").Role} role
 * @param {"stream" | "vhost-user"} [connection]
 * @returns {Peer}
 */
export function passtPeer(name, path, folder, version, role, connection = "stream") {
  const standIn = connection === "stream" ? "stand-in" : "vhost-stand-in"
  const options = connection === "stream" ? [] : ["--vhost-user"]
  const sockets = `${folder}/sockets`
  mkdirSync(sockets, { recursive: true, mode: 0o777 })
  run(["chmod", "1777", sockets])

  /** @param {number} mtu */
  async function connect(mtu) {
    const socket = `${sockets}/${++socketNumber}`
    const program = new Program([...asOrdinaryUser, path, ...options, "-f", "-s", socket, "--mtu", String(mtu)])
    await eventually(`${name} to start`, () => {
      if (program.hasEnded) throw new Error(`${name}: ${program.complaint}`)
      return isListening(socket) ? true : undefined
    })
    const machine = await makeNamespace([`${folder}/${standIn}`, DEVICE, socket])
    const place = networkOfProcess(machine.pid)
    // The device exists when the command has begun, but may take a moment more until it is visible.
    await eventually("the stand-in's device", () => {
      if (machine.hasEnded) throw new Error(`the stand-in: ${machine.complaint}`)
      return hasDevice(place) ? true : undefined
    })
    run([...place, "ip", "-batch", "-"], `${configuration(mtu).join("\n")}\n`)
    return { program, machine, place }
  }

  /** @param {Awaited<ReturnType<typeof connect>>} guest */
  async function disconnect({ program, machine }) {
    machine.kill()
    program.kill()
    await Promise.all([machine.ended, program.ended])
  }

  return {
    name,
    version,
    ...role,
    isProgram: true,
    runsCommands: false,
    hasLocalPath: false,
    async start(mtu) {
      const guest = await connect(mtu)
      return {
        place: guest.place,
        processes: () => family(guest.program.pid),
        dataPath: () => guest.program.pid,
        stop: () => disconnect(guest),
      }
    },
    async runOnce(command) {
      const began = process.hrtime.bigint()
      const guest = await connect(DEFAULT_MTU)
      const results = await new Program([...guest.place, ...command]).results()
      const ended = process.hrtime.bigint()
      await disconnect(guest)
      return { began, ended, results }
    },
  }
}

/**
 * The file of a socket exists a moment before connections are taken.
 * @param {string} path
 */
function isListening(path) {
  const sockets = readFileSync("/proc/net/unix", "utf8").split("\n")
  return sockets.some((line) => line.endsWith(` ${path}`) && line.split(" ")[3] === LISTENING)
}

/** @param {import("./topology.mjs").Place} place */
function hasDevice(place) {
  try {
    run([...place, "ip", "link", "show", "dev", DEVICE])
    return true
  } catch {
    return false
  }
}
