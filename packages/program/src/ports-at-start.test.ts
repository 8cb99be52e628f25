import { constants } from "node:os"
import { type ConfiguredRule, type Program, parseCommandLine, resolveConfiguration } from "@demiflow/config"
import type { ListenerRef, ListeningEnd } from "@demiflow/core"
import { PortForwarding } from "@demiflow/flow"
import type { Native } from "@demiflow/sys"
import { describe, expect, it } from "vitest"
import { checkSpareDescriptors, openForwardedPorts } from "./ports-at-start.ts"

const { EADDRINUSE, EACCES, EMFILE } = constants.errno

function rulesOf(program: Program, ...argv: string[]): readonly ConfiguredRule[] {
  const parsed = parseCommandLine(argv, program)
  if (parsed.kind !== "run") throw new Error(JSON.stringify(parsed))
  const facts = { network: { interfaces: [], addresses: [], routes: [] }, resolvConf: "" }
  const resolution = resolveConfiguration(parsed.options, facts, program)
  if (resolution.kind !== "configuration") throw new Error(resolution.message)
  return resolution.configuration.forwarding
}

/** Opens the ports that a command line requests, on a host that refuses some. Returns the open ones. */
function open(refuse: (port: number) => number, ...argv: string[]): number[] {
  return openFor("passt", refuse, ...argv)
}

function openFor(program: Program, refuse: (port: number) => number, ...argv: string[]): number[] {
  const opened: number[] = []
  const listen = (_protocol: number, { port }: ListeningEnd): ListenerRef => {
    const errno = refuse(port)
    if (errno === 0) opened.push(port)
    return (errno === 0 ? opened.length : -errno) as ListenerRef
  }
  openForwardedPorts(
    new PortForwarding({ listen, unlisten: () => {}, portsInUse: () => [] }),
    rulesOf(program, ...argv),
  )
  return opened
}

describe("openForwardedPorts", () => {
  it("opens what was asked for", () => {
    expect(open(() => 0, "-t", "5001,5003", "-u", "5002")).toEqual([5001, 5003, 5002])
  })

  it("names a port that can't be opened, with its protocol and address", () => {
    const inUse = (port: number) => (port === 5002 ? EADDRINUSE : 0)
    expect(() => open(inUse, "-t", "5001-5003")).toThrow(
      "Listen failed for HOST TCP port */5002: Address already in use",
    )
    expect(() => open(inUse, "-u", "192.0.2.1%eth0/5002")).toThrow("HOST UDP port 192.0.2.1%eth0/5002: Address already")
    expect(() => open(inUse, "-t", "::1/5002")).toThrow("HOST TCP port ::1/5002: ")
  })

  it("says if the port is one of the guest's namespace", () => {
    const none = ["-t", "none", "-u", "none", "-U", "none"]
    expect(() => openFor("pasta", () => EADDRINUSE, ...none, "-T", "5001")).toThrow(
      "Listen failed for SPLICE TCP port *%lo/5001: Address already in use",
    )
  })

  it("does with the ports there are for who wants all, unless there are none", () => {
    expect(open((port) => (port < 1024 ? EACCES : 0), "-t", "all")).toContain(1024)
    expect(() => open(() => EACCES, "-t", "all")).toThrow("No port could be forwarded for '-t all': Permission denied")
  })
})

describe("checkSpareDescriptors", () => {
  /** A process with this limit of open files. */
  const limitedTo = (limit: number) => {
    const open = new Set<number>()
    const native = {
      createEvent(): number {
        if (open.size === limit) return -EMFILE
        open.add(open.size)
        return open.size - 1
      },
      close: (descriptor: number) => Number(open.delete(descriptor)),
    }
    return { open, native: native as unknown as Native }
  }

  it("is content with some for connections, and keeps none of them", () => {
    const { open, native } = limitedTo(1000)
    checkSpareDescriptors(native)
    expect(open.size).toBe(0)
  })

  it("says so if the ports have left next to nothing", () => {
    const { open, native } = limitedTo(10)
    expect(() => checkSpareDescriptors(native)).toThrow("raise it (ulimit -n)")
    expect(open.size).toBe(0)
  })
})
