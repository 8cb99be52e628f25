// The demo's small internet, made from inside a network namespace that is the "host": a router and
// a world in namespaces of their own, servers in the world. Then pasta, with guest.mjs as its command.
import { spawn, spawnSync } from "node:child_process"
import { join } from "node:path"
import { gateway, host, PORT, server } from "./network.mjs"
import { giveUp, heading, note } from "./print.mjs"

const repository = join(import.meta.dirname, "../..")
const processes = []

function must(file, ...argv) {
  const { status, stderr, error } = spawnSync(file, argv, { encoding: "utf8" })
  if (status !== 0) throw new Error(`${[file, ...argv].join(" ")}: ${error?.message ?? stderr.trim()}`)
}

/** Starts a program that says when it is ready. */
function start(argv) {
  return new Promise((resolve, reject) => {
    const child = spawn(argv[0], argv.slice(1), { stdio: ["pipe", "pipe", "inherit"] })
    processes.push(child)
    child.stdout.once("data", () => resolve(child))
    child.once("error", reject)
    child.once("exit", (status) => reject(new Error(`${argv.join(" ")}: ended with ${status}`)))
  })
}

/** A network namespace that lasts as long as a process in it. Gives the words to run a program there. */
async function namespace() {
  const child = await start(["unshare", "--net", "sh", "-c", "echo ready; exec cat"])
  const inside = ["nsenter", `--net=/proc/${child.pid}/ns/net`]
  must(...inside, "ip", "link", "set", "lo", "up")
  return { pid: child.pid, inside }
}

function configure(inside, ...lines) {
  const [file, ...argv] = [...inside, "ip", "-batch", "-"]
  const { status, stderr } = spawnSync(file, argv, { encoding: "utf8", input: `${lines.join("\n")}\n` })
  if (status !== 0) throw new Error(`ip: ${stderr.trim()}`)
}

const set = (inside, ...variables) => must(...inside, "sysctl", "-q", "-w", ...variables)

async function makeNetwork() {
  const router = await namespace()
  const world = await namespace()
  // Nobody else is there who could have an address already; looking for them, the kernel would hold up IPv6 for two seconds.
  for (const inside of [[], router.inside, world.inside]) set(inside, "net.ipv6.conf.default.accept_dad=0")
  configure([], "link set lo up", `link add eth0 type veth peer name eth0 netns ${router.pid}`, "link set eth0 up")
  configure(
    router.inside,
    `link add eth1 type veth peer name eth0 netns ${world.pid}`,
    "link set eth0 up",
    "link set eth1 up",
  )
  configure(world.inside, "link set eth0 up")
  configure(router.inside, `addr add ${gateway[4]}/24 dev eth0`, `addr add ${gateway[6]}/64 dev eth0 nodad`)
  configure(router.inside, "addr add 203.0.113.1/24 dev eth1", "addr add 2001:db8:3::1/64 dev eth1 nodad")
  configure(world.inside, "addr add 203.0.113.2/24 dev eth0", "addr add 2001:db8:3::2/64 dev eth0 nodad")
  configure(world.inside, `addr add ${server[4]}/32 dev lo`, `addr add ${server[6]}/128 dev lo nodad`)
  configure([], `addr add ${host[4]}/24 dev eth0`, `addr add ${host[6]}/64 dev eth0 nodad`)
  configure([], `route add default via ${gateway[4]}`, `route add default via ${gateway[6]}`)
  configure(router.inside, `route add ${server[4]}/32 via 203.0.113.2`, `route add ${server[6]}/128 via 2001:db8:3::2`)
  configure(world.inside, "route add default via 203.0.113.1", "route add default via 2001:db8:3::1")
  set(router.inside, "net.ipv4.conf.all.forwarding=1", "net.ipv6.conf.all.forwarding=1")
  allowPings()
  return world
}

/** Ping sockets are open to everybody on most distributions; a new namespace may start without them. */
function allowPings() {
  for (const groups of ["0 2147483647", "0 0"]) {
    if (spawnSync("sysctl", ["-q", "-w", `net.ipv4.ping_group_range=${groups}`]).status === 0) return
  }
}

async function startServers(world) {
  const programs = join(repository, "e2e/programs")
  const listen = Object.values(server)
  const serve = (program, request) =>
    start([...world.inside, process.execPath, join(programs, program), JSON.stringify(request)])
  await serve("http-server.mjs", { listen, port: PORT, folder: "/nowhere" })
  await serve("dns-server.mjs", { listen })
}

function runPasta() {
  const argv = ["--config-net", "--", process.execPath, join(import.meta.dirname, "guest.mjs")]
  note(`$ pasta ${argv.slice(0, 2).join(" ")} node guest.mjs\n`)
  return new Promise((resolve) => {
    const child = spawn(join(repository, "apps/pasta/bin/pasta"), argv, { stdio: "inherit" })
    child.once("error", (error) => giveUp(error.message, "Is it built? npm run build"))
    child.once("exit", (status, signal) => resolve(status ?? signal))
  })
}

heading(`pasta, started by ${process.argv[2]}`)
note(`guest ┄┄ pasta ┄┄ host ${host[4]} ──── router ${gateway[4]} ──── world ${server[4]}`)
note(`                       ${host[6]}       ${gateway[6]}        ${server[6]}\n`)
let status
try {
  const world = await makeNetwork()
  await startServers(world)
  status = await runPasta()
} catch (error) {
  giveUp(
    error.message,
    "The demo needs to make network namespaces: run it as root, or where ordinary users may (user namespaces).",
  )
}
for (const child of processes) {
  child.removeAllListeners("exit")
  child.kill("SIGKILL")
}
process.exit(status === 0 ? 0 : 1)
