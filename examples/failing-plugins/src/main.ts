// A plug-in that throws and one that forgets what it began, beside a protocol that continues.
import { strict as assert } from "node:assert"
import { HANDLED, type ProtocolPlugin } from "@demiflow/core"
import { icmp } from "@demiflow/icmp"
import { build, check, memoryStack, RecordingLog } from "@demiflow/testkit"

const THROWS = 253
const LEAKS = 254

const throwing: ProtocolPlugin = () => ({
  name: "throwing",
  claims: [{ ipProtocol: THROWS }],
  fromGuest() {
    throw new Error("a mistake")
  },
})

const leaking: ProtocolPlugin = ({ guest, flows, handlerNumber }) => ({
  name: "leaking",
  claims: [{ ipProtocol: LEAKS }],
  fromGuest({ demiflow }) {
    guest.begin(demiflow, LEAKS, 1_000)
    flows.allocate(handlerNumber, LEAKS)
    return HANDLED
  },
})

// A test's stack throws a handler's errors. This one logs them, as the stack of a program does.
const log = new RecordingLog("info")
const { guest, run, drops, leftovers } = memoryStack([throwing, leaking, icmp()], { log, failures: "log" })

for (const protocol of [THROWS, LEAKS]) {
  for (let count = 0; count < 1_000; count++) guest.send(build.ip("192.0.2.1", "198.51.100.7", 64, protocol))
  run(1)
}
guest.send(build.ip("192.0.2.1", "198.51.100.7"), build.echoRequest(4, 1, 1))
run(1)

for (const [reason, count] of drops.entries()) console.log(`${count} × ${reason}`)
console.log(
  log
    .messages("error")
    .map((message) => message.split("\n")[0])
    .join("\n"),
)
assert.equal(log.messages("error").length, 1, "one error a second at most")
guest.expect(check.icmp({ type: 0, identifier: 1 }))
run(60_000)
assert.deepEqual(leftovers(), [], "neither has left anything behind")
