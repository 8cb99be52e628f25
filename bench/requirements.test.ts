import { expect, it } from "vitest"
import { searched } from "./requirements.mjs"

it("passes over the folders that npm puts in front, where pasta is ours", () => {
  const path = "/repository/node_modules/.bin:/node_modules/.bin:/usr/local/bin:/usr/bin:/opt/my_node_modules"
  expect(searched(path)).toEqual(["/usr/local/bin", "/usr/bin", "/opt/my_node_modules", "/usr/sbin", "/sbin"])
})
