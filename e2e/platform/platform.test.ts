/** Each assumption that the program makes about the kernel, as a small test of the kernel alone. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect } from "vitest"
import { testWith } from "../harness/machine.ts"
import { Namespace } from "../harness/places.ts"

const namespace = new Namespace(`df-${process.pid}-0-platform`)

beforeAll(async () => {
  await namespace.create()
  await namespace.configure(["link set lo up"])
  await namespace.set({ "net.ipv4.ping_group_range": "0 2147483647" })
})
afterAll(() => namespace.remove())

describe.each(["sockets", "splice", "listening", "devices"])("%s:", (module) => {
  const source = readFileSync(join(import.meta.dirname, `${module}.py`), "utf8")
  for (const [, name = "", title = ""] of source.matchAll(/^def (assume_\w+)\(\):\n {4}"""(.*)"""$/gm)) {
    testWith("python3", "ip")(title, async () => {
      // A process for each: a namespace or a device that one leaves behind must not affect the next.
      const script = `import ${module}; ${module}.${name}()`
      const { status, stderr } = await namespace.run(["/usr/bin/python3", "-c", script], {
        workingDirectory: import.meta.dirname,
        environment: { ...process.env, PYTHONDONTWRITEBYTECODE: "1" },
      })
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" })
    })
  }
})
