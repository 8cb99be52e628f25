import { expect, test } from "vitest"
import { conformancePage, missingIn } from "./page.mjs"
import { citationsIn, requirementsIn } from "./read.mjs"

const code = `
  // RFC 4861 6.1.2 (hop-limit) MUST: an advertisement
  //   from elsewhere is discarded
  if (hopLimit !== 255) return
  // RFC 4787 REQ-5 MAY: less
  // RFC 4704, section 6: not of this form
`
const tests = `
  // RFC 4861 6.1.2 (hop-limit), RFC 4787 REQ-5
  test("is discarded", () => {
  test.each([
    // RFC 4787 REQ-5
    ["a row", 1],
  ])("%s", () => {
  // RFC 4787 REQ-5
  test.each([
    ["another", 1],
  ])("each %s", () => {
`
const titles = { 4861: "Neighbor Discovery", 4787: "NAT" }

test("requirements and citations are read, with what they are beside", () => {
  const requirements = requirementsIn("packages/ndp/src/a.ts", code)
  expect(requirements.map(({ rfc, section, key, level, text }) => [rfc, section, key, level, text])).toEqual([
    [4861, "6.1.2", "hop-limit", "MUST", "an advertisement from elsewhere is discarded"],
    [4787, "REQ-5", "", "MAY", "less"],
  ])
  expect(citationsIn("a.test.ts", tests).map(({ rfc, key, title }) => [rfc, key, title])).toEqual([
    [4861, "hop-limit", "is discarded"],
    [4787, "", "is discarded"],
    [4787, "", "a row"],
    [4787, "", "each %s"],
  ])
})

test("what is missing is named", () => {
  const requirements = requirementsIn("packages/ndp/src/a.ts", code)
  const omitted = [{ rfc: 1, section: "2", key: "", level: "MUST", text: "it", reason: "because" }]
  const citations = citationsIn("a.test.ts", "// RFC 4861 9\nconst nothing = 1\n")
  expect(missingIn({ requirements, citations, titles, omitted })).toEqual([
    "packages/ndp/src/a.ts: no test cites RFC 4861 6.1.2 (hop-limit), which is a MUST",
    "a.test.ts: RFC 4861 9 is cited by a test, and by no code",
    "a.test.ts: no test below RFC 4861 9",
    "docs/conformance-omitted.json: RFC 1 has no title",
  ])
  const held = citationsIn("a.test.ts", tests)
  expect(missingIn({ requirements, citations: held, titles, omitted: [] })).toEqual([])
})

test("the page has each requirement by RFC and section, and what is left out", () => {
  const page = conformancePage({
    requirements: requirementsIn("packages/ndp/src/a.ts", code),
    citations: citationsIn("packages/ndp/src/a.test.ts", tests),
    titles,
    omitted: [{ rfc: 4787, section: "REQ-9", key: "", level: "MUST", text: "hairpinning", reason: "because" }],
  })
  expect(page.indexOf("## RFC 4787: NAT")).toBeLessThan(page.indexOf("## RFC 4861: Neighbor Discovery"))
  expect(page).toContain(
    "| 6.1.2 | MUST | an advertisement from elsewhere is discarded | [ndp/a.ts](../packages/ndp/src/a.ts) | [ndp/a.test.ts](../packages/ndp/src/a.test.ts): is discarded |",
  )
  expect(page).toContain("| REQ-9 | MUST | hairpinning | because |")
})
