import { describe, expect, it } from "vitest"
import { chooseCommand } from "./command.ts"

describe("chooseCommand", () => {
  it("searches PATH for the first operand", () => {
    expect(chooseCommand(["ls", "-l"], { PATH: "/a:/b", SHELL: "/bin/zsh" })).toEqual({
      name: "ls",
      paths: ["/a/ls", "/b/ls"],
      arguments: ["ls", "-l"],
    })
  })

  it("passes arguments on that are no valid UTF-8", () => {
    const bytes = [Buffer.from("echo"), Buffer.from([0xff])]
    expect(chooseCommand(["/bin/echo", "\ufffd"], {}, bytes).arguments).toBe(bytes)
  })

  it("runs the user's shell as a login shell without operands", () => {
    expect(chooseCommand([], { SHELL: "/bin/zsh" })).toEqual({
      name: "/bin/zsh",
      paths: ["/bin/zsh"],
      arguments: ["-/bin/zsh"],
    })
    expect(chooseCommand([], {}).paths).toEqual(["/bin/sh"])
    expect(chooseCommand([], { SHELL: "" }).paths).toEqual(["/bin/sh"])
  })
})
