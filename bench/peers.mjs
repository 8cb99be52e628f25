// The measured programs, and the direct path without any of them.
import { spawnSync } from "node:child_process"
import { realpathSync } from "node:fs"
import { asOrdinaryUser, makeNamespace, reportedVersion } from "./ordinary-user.mjs"
import { passtPeer } from "./passt-peers.mjs"
import { eventually, family, holdsTap, nameOf, networkOf, Program, run } from "./processes.mjs"
import { findProgram } from "./requirements.mjs"
import { networkOfProcess } from "./topology.mjs"

/**
 * A guest that is connected by a peer.
 * @typedef {object} Guest
 * @property {import("./topology.mjs").Place} place The namespace in which its programs run.
 * @property {() => readonly number[]} processes Those of the peer; none for the direct path.
 * @property {() => number} dataPath The one of them that moves the packets.
 * @property {() => Promise<void>} stop
 */

/**
 * @typedef {object} Peer
 * @property {string} name
 * @property {string} version
 * @property {boolean} isOurs True for the program of this repository.
 * @property {boolean} isCompared True if our results are divided by this peer's.
 * @property {boolean} isProgram False for the direct path.
 * @property {boolean} runsCommands It starts commands itself, and ends with them.
 * @property {boolean} hasLocalPath It connects the guest's loopback with the host's, or doesn't need to.
 * @property {(mtu: number, isLocal?: boolean) => Promise<Guest>} start
 * @property {(command: readonly string[]) => Promise<Run>} runOnce Creates a guest for one command.
 * @property {() => Promise<number>} [attach] Connects an existing namespace, and goes to the background: milliseconds
 *   until the first process has ended.
 */

/**
 * @typedef {object} Run
 * @property {bigint} began When it was started, nanoseconds.
 * @property {bigint} ended
 * @property {any[]} results What the command printed.
 */

/** @typedef {Pick<Peer, "isOurs" | "isCompared">} Role */

const roles = {
  ours: { isOurs: true, isCompared: false },
  compared: { isOurs: false, isCompared: true },
  other: { isOurs: false, isCompared: false },
}
/** A command that ends when its input does. */
const IDLE = "cat"
/** Leads the ports of traffic/ from the guest's loopback to the host's. */
const localPorts = ["-t", "none", "-u", "none", "-T", "7001,7100-7131", "-U", "7002,7003"]
const DEFAULT_MTU = 65_520

/**
 * @param {string} name
 * @param {string} path
 * @param {string} version
 * @param {import("./peers.mjs").Role} role
 * @returns {Peer}
 */
export function pastaPeer(name, path, version, role) {
  /** @param {number} mtu @param {readonly string[]} command @param {readonly string[]} options */
  const commandLine = (mtu, command, options = []) => {
    return [...asOrdinaryUser, path, "--config-net", "--mtu", String(mtu), ...options, "--", ...command]
  }
  return {
    name,
    version,
    ...role,
    isProgram: true,
    runsCommands: true,
    hasLocalPath: true,
    async start(mtu, isLocal = false) {
      const program = new Program(commandLine(mtu, [IDLE], isLocal ? localPorts : []))
      const inside = await eventually(`${name} to start`, () => {
        if (program.hasEnded) throw new Error(`${name}: ${program.complaint}`)
        return family(program.pid).find((pid) => nameOf(pid) === IDLE && networkOf(pid) !== networkOf("self"))
      })
      return guest(inside, program, async () => {
        program.child.stdin.end()
        await program.ended
      })
    },
    async runOnce(command) {
      const began = process.hrtime.bigint()
      const program = new Program(commandLine(DEFAULT_MTU, command))
      const results = await program.results()
      return { began, ended: process.hrtime.bigint(), results }
    },
    async attach() {
      const holder = await makeNamespace([IDLE])
      const began = process.hrtime.bigint()
      run([...asOrdinaryUser, path, "--config-net", "--quiet", String(holder.pid)])
      const ended = process.hrtime.bigint()
      // It ends with the namespace.
      holder.kill()
      await holder.ended
      return Number(ended - began) / 1e6
    },
  }
}

/**
 * @param {string} path
 * @returns {Peer}
 */
export function slirpPeer(path) {
  /** @param {number} mtu @param {number} pid */
  const connect = (mtu, pid) =>
    new Program([...asOrdinaryUser, path, "--configure", "--enable-ipv6", `--mtu=${mtu}`, String(pid), "tap0"])
  return {
    name: "slirp4netns",
    version: versionOf(path),
    ...roles.other,
    isProgram: true,
    runsCommands: false,
    hasLocalPath: false,
    async start(mtu) {
      // slirp4netns needs an existing namespace.
      const holder = await makeNamespace([IDLE])
      const program = connect(mtu, holder.pid)
      return guest(holder.pid, program, async () => {
        program.kill()
        holder.kill()
        await Promise.all([program.ended, holder.ended])
      })
    },
    async runOnce(command) {
      const began = process.hrtime.bigint()
      const holder = await makeNamespace(command)
      const program = connect(DEFAULT_MTU, holder.pid)
      const results = await holder.results()
      const ended = process.hrtime.bigint()
      program.kill()
      await program.ended
      return { began, ended, results }
    },
  }
}

/** @returns {Peer} */
export function directPath() {
  return {
    name: "direct",
    version: "no program in between",
    ...roles.compared,
    isProgram: false,
    runsCommands: false,
    hasLocalPath: true,
    start: async () => ({ place: [], processes: () => [], dataPath: () => -1, stop: async () => {} }),
    runOnce: () => Promise.reject(new Error("nothing to start")),
  }
}

/**
 * @param {number} inside A process in the guest.
 * @param {Program} program The peer's.
 * @param {() => Promise<void>} stop
 * @returns {Guest}
 */
function guest(inside, program, stop) {
  return {
    place: networkOfProcess(inside),
    processes: () => family(program.pid),
    dataPath() {
      const found = family(program.pid).find(holdsTap)
      if (found === undefined) throw new Error("no process has a tap device open")
      return found
    },
    stop,
  }
}

/**
 * The requested peers, ours first.
 * @param {import("./arguments.mjs").Settings} settings
 * @param {string} ours Path of the executable that is measured.
 * @param {string} folder Where the stand-ins for a virtual machine are.
 * @returns {readonly Peer[]}
 */
export function choosePeers(settings, ours, folder) {
  if (settings.program === "pasta") return choosePastaPeers(settings, ours)
  if (settings.program === "passt") return choosePasstPeers(settings, ours, folder)
  return chooseVhostPeers(settings, ours, folder)
}

/**
 * The requested peers of pasta, ours first.
 * @param {import("./arguments.mjs").Settings} settings
 * @param {string} ours Path of the executable that is measured.
 * @returns {readonly Peer[]}
 */
function choosePastaPeers({ more, without }, ours) {
  const pasta = findProgram("pasta")
  const slirp = findProgram("slirp4netns")
  const others = [
    ...more.map(({ name, path }) => pastaPeer(name, path, reportedVersion(path), roles.compared)),
    ...(pasta === undefined ? [] : [pastaPeer("pasta", pasta, versionOf(pasta), installedRole(more))]),
    ...(slirp === undefined ? [] : [slirpPeer(slirp)]),
    directPath(),
  ]
  return [pastaPeer("demiflow", ours, reportedVersion(ours), roles.ours), ...leaveOut(others, without)]
}

/**
 * The same for passt.
 * @param {import("./arguments.mjs").Settings} settings
 * @param {string} ours
 * @param {string} folder Where the stand-in for a virtual machine is.
 * @returns {readonly Peer[]}
 */
function choosePasstPeers({ more, without }, ours, folder) {
  const passt = findProgram("passt")
  const others = [
    ...more.map(({ name, path }) => passtPeer(name, path, folder, reportedVersion(path), roles.compared)),
    ...(passt === undefined ? [] : [passtPeer("passt", passt, folder, versionOf(passt), installedRole(more))]),
    directPath(),
  ]
  return [passtPeer("demiflow", ours, folder, reportedVersion(ours), roles.ours), ...leaveOut(others, without)]
}

/**
 * For passt by vhost-user, which Debian 12's passt lacks. Ours is compared with its own stream socket too.
 * @param {import("./arguments.mjs").Settings} settings
 * @param {string} ours
 * @param {string} folder
 * @returns {readonly Peer[]}
 */
function chooseVhostPeers({ more, without }, ours, folder) {
  const version = reportedVersion(ours)
  const others = [
    ...more.map(({ name, path }) => passtPeer(name, path, folder, reportedVersion(path), roles.compared, "vhost-user")),
    passtPeer("stream", ours, folder, version, roles.compared),
    directPath(),
  ]
  return [passtPeer("demiflow", ours, folder, version, roles.ours, "vhost-user"), ...leaveOut(others, without)]
}

/**
 * Debian's version is years older than one of `--peer`, but everybody can compare with it.
 * @param {readonly unknown[]} more
 */
function installedRole(more) {
  return more.length > 0 ? roles.other : roles.compared
}

/** @param {readonly Peer[]} peers @param {readonly string[]} without */
function leaveOut(peers, without) {
  return peers.filter(({ name }) => !without.includes(name))
}

/**
 * The version of a program's Debian package, or else the version that the program prints.
 * @param {string} path
 */
function versionOf(path) {
  const query = (/** @type {string[]} */ ...words) => spawnSync("dpkg-query", words, { encoding: "utf8" }).stdout ?? ""
  const [name, owned] = query("-S", realpathSync(path)).trim().split(": ")
  const [, version] = (owned && /^Version: (.+)$/m.exec(query("-s", name))) || []
  return version === undefined ? reportedVersion(path) : `Debian ${version}`
}
