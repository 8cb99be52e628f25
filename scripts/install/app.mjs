// A program of somebody who has installed the packages: a gateway answers its guest, and the devices' package loads.
//
//   node app.mjs [FOLDER]    FOLDER holds copies of the native files
import { createGateway } from "@demiflow/gateway"
import { messageLink } from "@demiflow/packet-link"
import { loadNative, useNativeFolder } from "@demiflow/sys"
import { openTap } from "@demiflow/tun-tap"

// Asks 10.0.2.2 for its Ethernet address: RFC 826.
const question = Uint8Array.from([
  ...[255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, 8, 6],
  ...[0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 2, 15, 0, 0, 0, 0, 0, 0, 10, 0, 2, 2],
])

async function main() {
  const folder = process.argv[2]
  if (folder !== undefined) useNativeFolder(folder)
  const { port1, port2 } = new MessageChannel()
  const gateway = await createGateway({ link: (arena) => messageLink(arena, port1), socketsKind: "sys" })
  const answer = await new Promise((resolve) => {
    port2.on("message", (frame) => {
      if (frame[12] === 8 && frame[13] === 6 && frame[21] === 2) resolve(frame)
    })
    port2.postMessage(question)
  })
  console.log(
    `${gateway.socketsKind} answers ${answer.length > 0}, devices ${typeof openTap}, ${typeof loadNative().open}`,
  )
  gateway.close()
  port2.close()
}

main().catch((error) => {
  console.error(error.message)
  process.exitCode = 1
})
