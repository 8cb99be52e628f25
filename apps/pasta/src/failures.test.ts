import { constants } from "node:os"
import type { Step } from "@demiflow/sys"
import { describe, expect, it } from "vitest"
import { explainLostTap, explainStepFailure } from "./failures.ts"

const { EPERM, EACCES, ENOSPC, ENOENT, ENOSYS, ENOEXEC, EBUSY } = constants.errno
const explain = (step: Step, errno: number) =>
  explainStepFailure({ step, errno }, { commandName: "frob", userNamespacePath: "/run/u" }) ?? noComplaint
const noComplaint = { text: "", isWarning: false, status: 0 }
const NEW_USER = 0x10000000
const spawn: Step = { kind: "spawn", flags: NEW_USER, steps: [] }
const execute: Step = { kind: "execute", paths: ["/bin/frob"], arguments: ["frob"] }

describe("explainStepFailure", () => {
  it("speaks of the command as shells do, with their status", () => {
    expect(explain(execute, ENOENT)).toEqual({ text: "frob: command not found", isWarning: false, status: 127 })
    expect(explain(execute, EACCES)).toEqual({ text: "frob: permission denied", isWarning: false, status: 126 })
    expect(explain(execute, ENOEXEC)).toMatchObject({ status: 126 })
  })

  it("says what to do where namespaces can't be made", () => {
    expect(explain(spawn, EPERM).text).toMatch(/EPERM.*kernel\.apparmor_restrict_unprivileged_userns/)
    expect(explain(spawn, ENOSPC).text).toMatch(/ENOSPC.*\/proc\/sys\/user/)
    expect(explain(spawn, ENOSYS).text).toMatch(/kernel was built without/)
    expect(explain({ kind: "writeChildFile", file: "uid_map", contents: "" }, EPERM).text).toMatch(/user namespace/)
    const map = (contents: string): Step => ({ kind: "writeFile", path: "/proc/self/uid_map", contents })
    expect(explain(map("7 7 1"), EPERM).text).toMatch(/user namespace.*settings/)
    expect(explain(map("0 0 1"), EPERM).text).toMatch(/user namespace.*CAP_SETFCAP/)
    expect(explain({ kind: "openChild", number: 1 }, ENOSYS).text).toBe("Linux 5.4 or newer is needed")
  })

  it("names a namespace that can't be entered, and says what it takes", () => {
    const join: Step = { kind: "enterNamespace", descriptor: 3, type: NEW_USER }
    expect(explain(join, EPERM).text).toMatch(/^Can't join the user namespace \/run\/u: .*EPERM.*only its creator may/)
    expect(explain({ kind: "open", path: "/dev/null", flags: 0, number: 0 }, ENOENT).text).toMatch(
      /^Can't open \/dev\/null: /,
    )
    expect(explain({ ...spawn, flags: 0 }, EPERM).text).toMatch(/EPERM.*this takes CAP_SYS_ADMIN/)
  })

  it("reports that only root may run as another user", () => {
    const map: Step = { kind: "writeChildFile", file: "uid_map", contents: "0 7 1" }
    const explained = explainStepFailure({ step: map, errno: EPERM }, { changesIdentity: true })
    expect(explained?.text).toMatch(/^Can't run as another user: .*EPERM.*root/)
  })

  it("doesn't take the runtime for the command", () => {
    const runtime: Step = { kind: "execute", paths: ["/bin/node"], arguments: ["pasta"], variables: [] }
    expect(explain(runtime, EACCES)).toMatchObject({
      text: expect.stringMatching(/^Can't start \/bin\/node: /),
      status: 1,
    })
  })

  it("warns only of what the command can do without", () => {
    const mount: Step = { kind: "mount", source: "proc", target: "/proc", type: "proc", flags: 0, mayFail: true }
    expect(explain(mount, EPERM)).toMatchObject({ isWarning: true })
    expect(explain({ ...mount, mayFail: false }, EPERM)).toMatchObject({ isWarning: false, status: 1 })
    expect(explain({ kind: "setLimit", resource: 7, soft: 1, mayFail: true }, EPERM)).toBe(noComplaint)
    expect(explain({ kind: "newSession" }, EBUSY)).toMatchObject({ isWarning: false, status: 1 })
  })

  it("takes one line for each", () => {
    for (const errno of Object.values(constants.errno)) {
      for (const step of [spawn, execute]) expect(explain(step, errno).text).not.toContain("\n")
    }
  })
})

it("says why there is no tap device any more", () => {
  expect(explainLostTap("eth0", 77)).toBe("The interface eth0 is gone: it was deleted in the namespace")
  expect(explainLostTap("eth0", EBUSY)).toMatch(/^Can't read from the interface eth0 any more: .*EBUSY/)
})
