/** The AppArmor profiles and the systemd unit of packaging/ at work: on Debian 12's kernel, below systemd. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { beforeAll, describe, expect } from "vitest"
import { countTests, failedTests } from "../../scripts/test/results.mjs"
import { testWith } from "../harness/machine.ts"
import { findKernel } from "../qemu/kernel.ts"
import { coreTests, runJobs, type Special } from "./machine.ts"

/** Five times the machine's duration on two idle cores, milliseconds. */
const LIMIT = 3_600_000

const belowSystemd: Special = {
  packages: ["apparmor", "systemd"],
  init: "init=/lib/systemd/systemd systemd.unit=jobs.service systemd.firstboot=no systemd.mask=systemd-networkd-wait-online.service systemd.machine_id=0123456789abcdef0123456789abcdef",
}

/** Shell: the kernel's messages about what a profile denied. */
const denied = "dmesg | grep apparmor | grep DENIED"
const installed = "DEMIFLOW_PASTA=/usr/local/bin/pasta DEMIFLOW_PASST=/usr/local/bin/passt"

const jobs = {
  install: "sh e2e/kernel/confined.sh",
  core: `${installed} ${coreTests("local-mode pasta-from-guest passt-from-host-udp")}`,
  parts: "{ pasta --print-sandbox; passt --print-sandbox; } > /results/parts",
  unit: "sh e2e/kernel/unit.sh > /results/unit",
  denied: `${denied} > /results/denied`,
  forbidden: `passt --foreground --log-file /etc/forbidden 2> /results/forbidden; ${denied} > /results/denied-then`,
}

const test = testWith("qemu-system-x86_64", "mke2fs", "depmod", "apt-get", "dpkg-deb", "apparmor_parser")

describe("confined by AppArmor and systemd", () => {
  let results = ""
  const read = (name: string): string => readFileSync(join(results, name), "utf8")

  beforeAll(async () => {
    const outcome = await runJobs(await findKernel(), jobs, LIMIT - 60_000, belowSystemd)
    results = outcome.results
    console.log(outcome.console)
    expect(read("install.status")).toBe("0\n")
  }, LIMIT)

  test("flows of all kinds work", () => {
    const core = JSON.parse(read("core.json"))
    const { passed, failed, skipped } = countTests(core)
    expect(failedTests(core)).toEqual([])
    expect({ failed, skipped, status: read("core.status") }).toEqual({ failed: 0, skipped: 0, status: "0\n" })
    expect(passed).toBeGreaterThan(50)
  })

  test("each part of the sandbox holds", () => {
    const parts = read("parts").trimEnd().split("\n")
    expect(parts.filter((line) => !line.startsWith("yes: "))).toEqual([])
    expect(parts.length).toBeGreaterThan(10)
  })

  test("the unit starts, answers its guest, and leaves nothing", () => {
    expect(read("unit").trimEnd().split("\n")).toEqual([
      "profile: demiflow-passt (enforce)",
      expect.stringMatching(/^user: (?!root)/),
      "router answers",
      "Result=success",
      "ExecMainStatus=0",
      "nothing stays",
    ])
  })

  test("the profiles deny nothing that the programs need", () => {
    expect(read("denied")).toBe("")
  })

  test("the profiles deny the rest: a log file in /etc", () => {
    expect(read("forbidden")).toContain("/etc/forbidden")
    expect(read("denied-then")).toContain("/etc/forbidden")
  })
})
