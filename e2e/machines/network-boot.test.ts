/** Machines that boot from the network by TFTP, with iPXE from a card's ROM: `npm run test:machines`. */
import { writeFileSync } from "node:fs"
import { afterAll, beforeAll, describe, expect } from "vitest"
import { fileFor, testWith } from "../harness/machine.ts"
import { Passt } from "../harness/passt.ts"
import type { Program } from "../harness/processes.ts"
import { lastLine } from "../harness/servers.ts"
import { families, inUrl, overBoth, useTopology } from "../harness/topology.ts"
import { BootRom, type Card, romIn } from "../qemu/boot-rom.ts"

/** Lines of a boot script. Each increments a number, so that a lost or repeated line is detected. */
const LINES = 1000
const counted = `# ${"x".repeat(90)}\ninc lines\n`
const script = `#!ipxe\nset lines:int32 0\n${counted.repeat(LINES)}echo read \${lines} lines\n`

const topology = useTopology()
let server: Program
beforeAll(async () => {
  const path = fileFor("boot.ipxe")
  writeFileSync(path, script)
  const listen = families.map((family) => family.server)
  server = topology.world.startNode("tftp-server.mjs", { listen, files: { "boot.ipxe": path } })
  await server.printed(/ready/)
})
afterAll(() => server?.stop())

const cards: readonly Card[] = ["virtio-net-pci", "e1000"]
for (const card of cards) {
  describe(`a machine with a ${card}`, () => {
    const test = testWith("qemu-system-x86_64", romIn(card))
    let passt: Passt
    let machine: BootRom
    beforeAll(async () => {
      passt = await Passt.start(topology)
      machine = await BootRom.start(passt.socket, card)
      await machine.run("ifconf")
    })
    afterAll(async () => {
      await machine?.turnOff()
      await passt?.stop()
    })

    overBoth((family) => {
      test("boots what a TFTP server sends from a port of its own", async () => {
        const output = await machine.run(`chain tftp://${inUrl(family.server)}/boot.ipxe`)
        expect(output).toContain(`read ${LINES} lines`)
        // From one port, to port 69 of the server and to the server's new one. iPXE chooses the block size.
        const sent = { event: "sent", name: "boot.ipxe", bytes: script.length, blockSize: 1432 }
        expect(lastLine(server.stdout)).toEqual({ ...sent, client: [expect.any(Number)] })
      })
    })
  })
}
