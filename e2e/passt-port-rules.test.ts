/** The rules of -t and -u for passt, and refused ones. */
import { describe, expect, test } from "vitest"
import { portRules, targetRules, testPortRules, testTargetRules, useSecondAddresses } from "./cases/port-rules.ts"
import { second } from "./harness/from-host.ts"
import { runPasst } from "./harness/passt.ts"
import { protocols, refused as refusedArrival, tcp } from "./harness/protocols.ts"
import { startServer, useServerIn } from "./harness/servers.ts"
import { DEVICE, usePasst } from "./harness/stand-in.ts"
import { families, useTopology } from "./harness/topology.ts"

const topology = useTopology()
const running = usePasst(topology, {
  options: [...protocols.flatMap(portRules), ...families.flatMap(({ host }) => ["-a", host])],
})

describe.each(protocols)("$name", (protocol) => {
  testPortRules(topology, protocol, running, "gateway")
})

describe("a rule that names an address of the guest", () => {
  const options = protocols.flatMap((protocol) => targetRules(protocol, second))
  const named = usePasst(topology, { options })
  useSecondAddresses(() => named.guest, DEVICE)

  describe.each(protocols)("$name", (protocol) => {
    testTargetRules(topology, protocol, named, second, "gateway")
  })
})

describe("without ranges", () => {
  // A share of all ports, for the number of descriptors that a process may have.
  const rest = usePasst(topology, { options: ["-t", "127.0.0.1/~1-32000"] })
  useServerIn("tcp-server", () => rest.guest, [{ address: "0.0.0.0", port: 32_001 }])

  test("all ports but those that are excluded are forwarded", async () => {
    const [family] = families
    if (family === undefined) return
    expect(await tcp.arrival(topology.host, family.loopback, 32_001)).toMatchObject({ port: 32_001 })
    expect(await tcp.arrival(topology.host, family.loopback, 31_000)).toEqual(refusedArrival)
  })
})

describe("what is refused is refused with one line and status 1:", () => {
  const refused = async (...argv: string[]) => {
    const { status, stdout, stderr } = await runPasst(topology.host, ["-q", "-f", ...argv])
    expect(stderr).toMatch(/^[^\n]+\n$/)
    expect(stderr).not.toMatch(/\bat .*:\d+:\d+/) // No stack trace.
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" })
    return stderr
  }

  test.each([
    ["-t", "70000"],
    ["-t", "0"],
    ["-t", "80-22"],
    ["-t", "22-"],
    ["-t", "8000-8010:9000-9005"],
    ["-t", "192.0.2.300/8000"],
    ["-t", "%/8000"],
    ["-t", "eight"],
    ["-t", "auto"],
    ["-u", "70000"],
    ["-u", "8000:"],
  ])("%s %s", async (...argv) => {
    await refused(...argv)
  })

  test("a port that is in use", async () => {
    const [family] = families
    const holder = await startServer("tcp-server", topology.host, [{ address: family?.host ?? "", port: 8080 }])
    expect(await refused("-t", "8070-8090")).toContain("8080")
    await holder.stop()
  })

  test("a UDP port that is in use", async () => {
    const [family] = families
    const holder = await startServer("udp-server", topology.host, [{ address: family?.host ?? "", port: 8080 }])
    expect(await refused("-u", "8070-8090")).toContain("8080")
    await holder.stop()
  })

  test("a port that only root may have", async () => {
    expect(await refused("-t", "22")).toContain("22")
  })

  test("an address that the host does not have, unless it is to be bound anyway", async () => {
    expect(await refused("-t", "192.0.2.99/8000")).toContain("192.0.2.99")
  })
})
