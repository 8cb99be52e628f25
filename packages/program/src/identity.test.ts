import { describe, expect, it } from "vitest"
import { chooseIdentity, requestedIdentity } from "./identity.ts"

const everybody = "         0          0 4294967295\n"
const passwords = "root:x:0:0::/root:/bin/sh\nnobody:x:99:98:nobody:/:/sbin/nologin\n"
const root = {
  user: 0,
  group: 0,
  userMap: everybody,
  groupMap: everybody,
  passwords,
  groups: "staff:x:50:\n",
  capabilities: [],
}

describe("chooseIdentity", () => {
  it("lets everybody but root stay who they are", () => {
    expect(chooseIdentity({ ...root, user: 1000, group: 1000 })).toBeUndefined()
  })

  it("has root change to nobody", () => {
    expect(chooseIdentity(root)).toEqual({ user: 99, group: 98 })
    expect(chooseIdentity({ ...root, passwords: "" })).toEqual({ user: 65534, group: 65534 })
    expect(chooseIdentity({ ...root, passwords: "nobody:x:::\n" })).toEqual({ user: 65534, group: 65534 })
  })

  it.each([
    ["with one user", "0 1000 1\n"],
    ["with thousands, nobody included", "0 1000 1\n1 100000 65536\n"],
    ["with as many as there are, but others", "0 100000 4294967295\n"],
    ["of which nothing is known", ""],
  ])("lets user 0 of a user namespace stay who it is: one %s", (_which, map) => {
    expect(chooseIdentity({ ...root, userMap: map, groupMap: map })).toBeUndefined()
    expect(chooseIdentity({ ...root, userMap: map })).toBeUndefined()
    expect(chooseIdentity({ ...root, groupMap: map })).toBeUndefined()
  })
})

describe("requestedIdentity", () => {
  it("is nobody for root unless somebody is named", () => {
    expect(requestedIdentity(undefined, root)).toEqual({ user: 99, group: 98 })
    expect(requestedIdentity({ user: 7, group: undefined }, root)).toEqual({ user: 7, group: 7 })
    expect(requestedIdentity({ user: "nobody", group: "staff" }, root)).toEqual({ user: 99, group: 50 })
  })

  it("is whom user 0 of a user namespace names", () => {
    const map = "0 1000 1\n1 100000 65536\n"
    const inside = { ...root, userMap: map, groupMap: map }
    expect(requestedIdentity({ user: 7, group: undefined }, inside)).toEqual({ user: 7, group: 7 })
  })

  it("changes nothing for who is that already", () => {
    expect(requestedIdentity({ user: 7, group: 8 }, { ...root, user: 7, group: 8 })).toBeUndefined()
  })

  it("refuses who isn't there", () => {
    expect(() => requestedIdentity({ user: "somebody", group: undefined }, root)).toThrow(/there is no user somebody/)
  })
})
