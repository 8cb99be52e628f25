import { describe, expect, it } from "vitest"
import { chooseIdentity, requestedIdentity } from "./identity.ts"

const everybody = "         0          0 4294967295\n"
const passwords = "root:x:0:0::/root:/bin/sh\nnobody:x:99:98:nobody:/:/sbin/nologin\n"
const root = { user: 0, group: 0, userMap: everybody, groupMap: everybody, passwords, groups: "staff:x:50:\n" }

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

describe("requestedIdentity", () => {
  it("is nobody for root unless somebody is named", () => {
    expect(requestedIdentity(undefined, root)).toEqual({ user: 99, group: 98 })
    expect(requestedIdentity({ user: 7, group: undefined }, root)).toEqual({ user: 7, group: 7 })
    expect(requestedIdentity({ user: "nobody", group: "staff" }, root)).toEqual({ user: 99, group: 50 })
  })

  it("changes nothing for who is that already", () => {
    expect(requestedIdentity({ user: 7, group: 8 }, { ...root, user: 7, group: 8 })).toBeUndefined()
  })

  it("refuses who isn't there", () => {
    expect(() => requestedIdentity({ user: "somebody", group: undefined }, root)).toThrow(/there is no user somebody/)
  })
})
