// What the demo does once it is in a network namespace of its own, the "host": makes the small internet, starts servers
// in the world, then pasta, with guest.mjs as its command.
import { join } from "node:path"
import { runToEnd, startServer } from "./children.mjs"
import { makeInternet } from "./internet.mjs"
import { gateway, host, PORT, server } from "./network.mjs"
import { giveUp, heading, note } from "./print.mjs"

const repository = join(import.meta.dirname, "../..")

async function startServers(world) {
  const serve = (program, request) =>
    startServer([process.execPath, join(repository, "e2e/programs", program), JSON.stringify(request)], world.enter)
  const listen = Object.values(server)
  await serve("http-server.mjs", { listen, port: PORT, folder: "/nowhere" })
  await serve("dns-server.mjs", { listen })
}

function runPasta() {
  const argv = [
    "--config-net",
    "--",
    process.execPath,
    join(import.meta.dirname, "guest.mjs"),
    ...process.argv.slice(3),
  ]
  note(`$ pasta ${argv.slice(0, 2).join(" ")} node guest.mjs\n`)
  return runToEnd([join(repository, "apps/pasta/bin/pasta"), ...argv])
}

heading(`pasta, started by ${process.argv[2]}`)
note(`guest ┄┄ pasta ┄┄ host ${host[4]} ──── router ${gateway[4]} ──── world ${server[4]}`)
note(`                       ${host[6]}       ${gateway[6]}        ${server[6]}\n`)
try {
  await startServers(await makeInternet())
  process.exit((await runPasta()) === 0 ? 0 : 1)
} catch (error) {
  giveUp(error.message, "The demo needs a kernel with network namespaces, veth and IPv6.")
}
