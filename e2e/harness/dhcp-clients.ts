/** Real DHCP clients, in a guest without configuration. */
import { chmodSync, readFileSync, writeFileSync } from "node:fs"
import { temporaryFolder } from "./machine.ts"
import type { Place } from "./places.ts"
import { mustRun, type Result } from "./processes.ts"

export interface Client {
  /** The lease, as the client passes it to its script: a value for each variable. */
  lease(): Readonly<Record<string, string>>
}

/** Sets the interface up without waiting for duplicate address detection. */
export async function raise(guest: Place, autoconfigure = false): Promise<void> {
  const settings = ["net.ipv6.conf.eth0.accept_dad=0", `net.ipv6.conf.eth0.accept_ra=${autoconfigure ? 1 : 0}`]
  await mustRun(["nsenter", `--net=${guest.path}`, "sysctl", "-q", "-w", ...settings])
  await guest.must(["ip", "link", "set", "eth0", "up"])
}

/** A script for a DHCP client, which writes the lease to a file, and sets the network up accordingly. */
function clientScript(setUp: string): Client & { readonly script: string; readonly folder: string } {
  const folder = temporaryFolder("dhcp")
  const script = `${folder}/script`
  writeFileSync(script, `#!/bin/sh\nenv | sort > ${folder}/lease.$1$reason\n${setUp}\n`)
  chmodSync(script, 0o755)
  const lease = () => {
    const event = ["bound", "BOUND", "BOUND6"].find((name) => {
      try {
        return readFileSync(`${folder}/lease.${name}`, "utf8") !== ""
      } catch {
        return false
      }
    })
    const lines = readFileSync(`${folder}/lease.${event}`, "utf8").trim().split("\n")
    return Object.fromEntries(lines.map((line) => [line.replace(/=.*/, ""), line.replace(/^[^=]*=/, "")]))
  }
  return { script, lease, folder }
}

/** Runs busybox's client until it has a lease or gives up; it sets the network up accordingly. */
export async function udhcpc(
  guest: Place,
  ...options: readonly string[]
): Promise<Client & { readonly result: Result }> {
  const client = clientScript(
    '[ "$1" = bound ] && ip addr add $ip/$mask dev $interface && ip route add default via $router',
  )
  const patience = ["-f", "-n", "-q", "-t", "60", "-T", "1"]
  const result = await guest.run(["udhcpc", "-i", "eth0", ...patience, "-s", client.script, ...options])
  return { ...client, result }
}

/** Runs ISC's client until it has a lease; rejects when it has none after `patience` seconds. */
export async function dhclient(guest: Place, version: "-4" | "-6", patience = 60): Promise<Client> {
  const client = clientScript("exit 0")
  const { folder, script } = client
  const ask = version === "-4" ? "subnet-mask, routers, interface-mtu, domain-name-servers, domain-search" : ""
  const request = version === "-4" ? `request ${ask};\n` : ""
  writeFileSync(`${folder}/dhclient.conf`, `${request}timeout ${patience};\n`)
  const files = ["-cf", `${folder}/dhclient.conf`, "-lf", `${folder}/leases`, "-pf", `${folder}/pid`]
  await guest.must(["dhclient", version, "-1", "-v", "-sf", script, ...files, "eth0"])
  return client
}
