import { MacAddress } from "@demiflow/core"
import { expect, it } from "vitest"
import { StationLog } from "./station-log.ts"

function setUp(isDebug: boolean) {
  const lines: string[] = []
  const stations = new StationLog({ isDebug, info: (line) => lines.push(line) })
  const hear = (count: number) => {
    for (let low = 0; low < count; low++) stations.seen(new MacAddress(0x0200, low))
  }
  return { stations, hear, lines }
}

it("names eight stations for each connection, and says that more are not named", () => {
  const { stations, hear, lines } = setUp(false)
  hear(8)
  expect(lines).toHaveLength(8)
  expect(lines[7]).toBe("New guest MAC address observed: 02:00:00:00:00:07")
  hear(1_000)
  expect(lines.slice(8)).toEqual(["Further guest MAC addresses are logged with --debug only"])
  stations.restart()
  hear(1)
  expect(lines.slice(9)).toEqual(["New guest MAC address observed: 02:00:00:00:00:00"])
})

it("names every station while debugging", () => {
  const { hear, lines } = setUp(true)
  hear(1_000)
  expect(lines).toHaveLength(1_000)
})
