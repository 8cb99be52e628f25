/** The process that moves the packets. In the making: so far it sets the namespace up, and waits. */
import { readFileSync, writeSync } from "node:fs"
import { decodeConfiguration } from "@demiflow/config"
import { Arena } from "@demiflow/core"
import { attachArena, NETLINK_ARENA_BYTES, parseWaitStatus, shellStatus } from "@demiflow/sys"
import { DataPathDescriptor } from "./launch-steps.ts"
import { sentenceOf } from "./messages.ts"
import { configureNamespace } from "./namespace-setup.ts"
import type { DataPathReport, DataPathSettings } from "./protocol.ts"

function report(message: DataPathReport): void {
  writeSync(DataPathDescriptor.report, `${JSON.stringify(message)}\n`)
}

function main(): void {
  const text = readFileSync(DataPathDescriptor.settings, "utf8")
  if (text === "") return
  const settings = JSON.parse(text) as DataPathSettings
  const configuration = decodeConfiguration(settings.configuration)
  const arena = new Arena(NETLINK_ARENA_BYTES + 65536)
  const native = attachArena(arena)
  const init = Number(/^Pid:\s+(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${DataPathDescriptor.init}`, "utf8"))?.[1])
  configureNamespace(native, arena, DataPathDescriptor.network, configuration)
  report({ kind: "ready", init })
  const scratch = arena.reserve(8, 8)
  native.waitPid(init, 0, scratch)
  report({ kind: "ended", status: shellStatus(parseWaitStatus(arena.words[scratch >> 2])) })
}

try {
  main()
} catch (error) {
  report({ kind: "failed", message: sentenceOf(error) })
  process.exitCode = 1
}
