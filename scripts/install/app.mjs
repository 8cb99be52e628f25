// A program of somebody who has installed the packages: a gateway answers its guest, and the devices' package loads.
//
//   node app.mjs [FOLDER]    FOLDER holds copies of the native files
import { createGateway } from "@demiflow/gateway"
import { messageLink } from "@demiflow/packet-link"
import { loadNative, useNativeFolder } from "@demiflow/sys"
import { openTap } from "@demiflow/tun-tap"
import { arpRequest, isArpReply } from "./arp.mjs"

async function main() {
  const folder = process.argv[2]
  if (folder !== undefined) useNativeFolder(folder)
  const { port1, port2 } = new MessageChannel()
  const gateway = await createGateway({ link: (arena) => messageLink(arena, port1), socketsKind: "sys" })
  const answer = await new Promise((resolve) => {
    port2.on("message", (frame) => {
      if (isArpReply(frame)) resolve(frame)
    })
    port2.postMessage(arpRequest)
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
