/** Files for packagers: the system's own tools accept the profiles and units. */
import { copyFileSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect } from "vitest"
import { repository, temporaryFolder, testWith } from "./harness/machine.ts"
import { run } from "./harness/processes.ts"

const packaging = join(repository, "packaging")

describe("AppArmor's parser accepts the profile of", () => {
  // Those in userns/ need a newer parser than Debian 12's.
  for (const program of ["passt", "pasta"]) {
    testWith("apparmor_parser")(program, async () => {
      const folder = join(packaging, "apparmor")
      // This neither loads the profile, nor uses a cache.
      const includes = ["-I", folder, "-I", "/etc/apparmor.d"]
      const { status, stderr } = await run(["apparmor_parser", "-QK", ...includes, join(folder, program)])
      expect(status, stderr).toBe(0)
    })

    testWith("apparmor_parser")(`${program} for newer systems, but for the word that is new`, () => {
      const lines = (path: string) =>
        readFileSync(join(packaging, "apparmor", path), "utf8")
          .split("\n")
          .slice(2)
      const newer = lines(`userns/${program}`).filter((line) => line !== "  userns,")
      expect(newer.map((line) => line.replace("abi/4.0", "abi/3.0"))).toEqual(lines(program))
    })
  }
})

testWith("systemd-analyze")("systemd accepts the unit", async () => {
  const folder = temporaryFolder("unit")
  const unit = join(folder, "passt@.service")
  copyFileSync(join(packaging, "systemd/passt@.service"), unit)
  // A command that exists.
  writeFileSync(unit, readFileSync(unit, "utf8").replace("/usr/local/bin/passt", "/usr/bin/env passt"))
  const { status, stdout, stderr } = await run(["systemd-analyze", "verify", "--man=no", unit])
  expect({ status, output: stdout + stderr }).toEqual({ status: 0, output: "" })
})
