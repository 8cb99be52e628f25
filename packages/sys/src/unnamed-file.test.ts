import { spawnSync } from "node:child_process"
import { closeSync, fstatSync, mkdtempSync, readdirSync, readFileSync, rmdirSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, afterEach, expect, test } from "vitest"
import { createUnnamedFile, pathOfDescriptor } from "./unnamed-file.ts"

const folder = mkdtempSync(join(tmpdir(), "unnamed-file-"))
const open: number[] = []
afterEach(() => {
  for (const descriptor of open.splice(0)) closeSync(descriptor)
})
// Fails if anything has a name there.
afterAll(() => rmdirSync(folder))

function create(contents: (descriptor: number) => Uint8Array, folders?: readonly string[]): number {
  const descriptor = createUnnamedFile(contents, folders)
  if (descriptor instanceof Error) throw descriptor
  open.push(descriptor)
  return descriptor
}

function descriptorsOfThisProcess(): string[] {
  return readdirSync("/proc/self/fd")
}

test("the file has the contents, no name, and is its owner's alone", () => {
  const descriptor = create(() => Buffer.from("contents"), [folder])
  expect(readFileSync(pathOfDescriptor(descriptor), "utf8")).toBe("contents")
  const { nlink, mode } = fstatSync(descriptor)
  expect([nlink, mode & 0o777]).toEqual([0, 0o500])
})

test("the contents may depend on the descriptor", () => {
  const descriptor = create((number) => Buffer.from(`${number}`))
  expect(readFileSync(pathOfDescriptor(descriptor), "utf8")).toBe(String(descriptor))
})

test("it can be executed, by whom it is inherited", () => {
  const descriptor = create(() => readFileSync("/bin/true"))
  const stdio = [...Array(descriptor).fill("ignore"), descriptor]
  expect(spawnSync(pathOfDescriptor(descriptor), { stdio }).status).toBe(0)
})

test("it can't get a name", () => {
  const descriptor = create(() => Buffer.from(""), [folder])
  const stdio = [...Array(descriptor).fill("ignore"), descriptor]
  const link = spawnSync("ln", ["-L", pathOfDescriptor(descriptor), join(folder, "name")], { stdio })
  expect(link.status).not.toBe(0)
})

test("a folder that can't have such a file is passed over", () => {
  const descriptor = create(() => Buffer.from(""), ["/proc", join(folder, "missing"), folder])
  expect(fstatSync(descriptor).dev).toBe(fstatSync(create(() => Buffer.from(""), [folder])).dev)
})

test("if no folder can have it, the last one's reason is returned", () => {
  const before = descriptorsOfThisProcess()
  const failure = createUnnamedFile(() => Buffer.from(""), ["/proc", join(folder, "missing")])
  expect(failure).toMatchObject({ code: "ENOENT" })
  expect(descriptorsOfThisProcess()).toEqual(before)
})

test("what the contents throw isn't taken for a folder's failure", () => {
  const before = descriptorsOfThisProcess()
  const missing = new Error("no such asset")
  const contents = () => {
    throw missing
  }
  expect(() => createUnnamedFile(contents, [folder])).toThrow(missing)
  expect(descriptorsOfThisProcess()).toEqual(before)
})
