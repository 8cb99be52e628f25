import { describe, expect, it } from "vitest"
import { chooseIdentity } from "./identity.ts"

const everybody = "         0          0 4294967295\n"
const passwords = "root:x:0:0::/root:/bin/sh\nnobody:x:99:98:nobody:/:/sbin/nologin\n"
const root = { user: 0, group: 0, userMap: everybody, groupMap: everybody, passwords }

describe("chooseIdentity", () => {
  it("lets everybody but root stay who they are", () => {
    expect(chooseIdentity({ ...root, user: 1000, group: 1000 })).toBeUndefined()
  })

  it("has root change to nobody", () => {
    expect(chooseIdentity(root)).toEqual({ user: 99, group: 98 })
    expect(chooseIdentity({ ...root, passwords: "" })).toEqual({ user: 65534, group: 65534 })
    expect(chooseIdentity({ ...root, passwords: "nobody:x:::\n" })).toEqual({ user: 65534, group: 65534 })
  })

  it("lets a root stay who knows no nobody", () => {
    expect(chooseIdentity({ ...root, userMap: "0 1000 1\n" })).toBeUndefined()
    expect(chooseIdentity({ ...root, groupMap: "0 1000 1\n1 100000 50\n" })).toBeUndefined()
    expect(chooseIdentity({ ...root, userMap: "0 1000 1\n1 100000 65536\n" })).toEqual({ user: 99, group: 98 })
  })
})
