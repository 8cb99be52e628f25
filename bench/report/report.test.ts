import { describe, expect, it } from "vitest"
import { insert, markdown } from "./markdown.mjs"
import { short, times, withSpread } from "./numbers.mjs"
import { plot, plotName } from "./plot.mjs"
import { lineOf, linesByGroup, type Results, titleOf } from "./results.mjs"
import { Table } from "./table.mjs"

const plain = (text: string): string => text
const style = {
  bold: plain,
  dim: (text: string) => `<${text}>`,
  green: (text: string) => `+${text}`,
  red: (text: string) => `-${text}`,
}
const up = { group: "TCP", label: "TCP up", unit: "Gb/s", better: "more" } as const
const time = { group: "Process", label: "start & end", unit: "ms", better: "less" } as const
const results: Results = {
  program: "pasta",
  machine: {
    date: "2026-10-05",
    processor: "Some CPU",
    processors: 2,
    memory: 4,
    kernel: "6.1",
    distribution: "Debian",
    node: "20.19.0",
    congestionControl: "cubic",
  },
  settings: { rounds: 3, measured: 2000, warm: 300 },
  peers: [
    { name: "ours", title: "ours", version: "1", isCompared: false },
    { name: "newer", title: "pasta 2026-10", version: "2", isCompared: true },
    { name: "direct", title: "direct", version: "none", isCompared: true },
  ],
  rows: [
    { ...time, values: { ours: [200], newer: [100] } },
    { ...up, values: { ours: [20, 18, 19], newer: [0.5, 0.25, 1], direct: [40, 40, 40] } },
  ],
  complaints: ["pasta, TCP down: it took too long"],
}

describe("numbers", () => {
  it("have three digits that count", () => {
    expect([0.02134, 1.234, 12.34, 123.4, 12_345.6, 0].map(short)).toEqual([
      "0.021",
      "1.23",
      "12.3",
      "123",
      "12,346",
      "0",
    ])
  })

  it("come with their spread, or a dash", () => {
    expect(withSpread({ median: 2, smallest: 1.5, largest: 10 })).toBe("2.00 (1.50–10.0)")
    expect(withSpread(undefined)).toBe("–")
    expect([0.5, 12.34, 695, Number.POSITIVE_INFINITY, undefined].map(times)).toEqual(["0.50", "12.3", "695", "∞", "–"])
  })
})

describe("a line", () => {
  it("compares ours with the direct path first, then with those that it is to be compared with", () => {
    expect(lineOf(results, up).ratios).toEqual([0.475, 38])
    expect(lineOf(results, time).ratios).toEqual([undefined, 0.5])
    expect(lineOf(results, time).summaries[2]).toBeUndefined()
  })

  it("stands in the order of the groups, not of the measurements", () => {
    expect(linesByGroup(results, ["TCP", "UDP", "Process"]).map(({ title }) => title)).toEqual(["TCP", "Process"])
  })
})

describe("a peer", () => {
  it("is called by the month of its version, if it says one", () => {
    expect(titleOf("pasta", { name: "newer", version: "pasta 0.0~git20261002.cba3570-1" })).toBe("pasta 2026-10")
    expect(titleOf("passt", { name: "passt", version: "Debian 0.0~git20230309.7c7625d-1" })).toBe("passt 2023-03")
    expect(titleOf("vhost-user", { name: "newer", version: "passt 0.0~git20261002.cba3570-1" })).toBe("passt 2026-10")
    expect(titleOf("pasta", { name: "slirp4netns", version: "Debian 1.2.0-1" })).toBe("slirp4netns")
  })
})

describe("the table for a terminal", () => {
  const table = new Table(style, results.peers, ["TCP up", "start & end"])
  const visible = (text: string): number => text.replaceAll(/[<>]/g, "").length

  it("has columns under their headings", () => {
    const heading = table.heading("TCP")
    const line = table.line(lineOf(results, up))
    const marks = 2 // of colour
    expect(visible(line)).toBe(heading.length + marks)
    const end = heading.lastIndexOf("pasta 2026-10") + "pasta 2026-10".length
    expect(end + marks).toBe(line.replaceAll(/[<>]/g, "").indexOf("1.00)") + "1.00)".length)
  })

  it("colours what is ahead and what is behind, and dims the spread", () => {
    expect(table.line(lineOf(results, up))).toMatch(/Gb\/s +- +0\.47\+ +38\.0 +19\.0< \(18\.0–20\.0\)>/)
    expect(table.line(lineOf(results, time))).toMatch(/ms +–- +0\.50 .* –$/)
  })
})

describe("Markdown", () => {
  const text = markdown(results, ["TCP", "Process"], "plots")

  it("has a table and a plot for each group", () => {
    expect(text).toContain(
      "### TCP\n\n|  | unit | ÷ direct | ÷ pasta 2026-10 | ours | pasta 2026-10 | direct |\n" +
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |\n",
    )
    expect(text).toContain("| TCP up | Gb/s | 0.47 | 38.0 | 19.0 (18.0–20.0) | 0.500 (0.250–1.00) | 40.0 (40.0–40.0) |")
    expect(text).toContain("![Process](plots/process.svg)")
  })

  it("says where it was measured, with what, and what could not be", () => {
    expect(text).toMatch(
      /^2026-10-05; 2 × Some CPU, 4 GiB; Linux 6\.1.*cubic\. ours: 1; pasta 2026-10: 2; direct: none\.\n/,
    )
    expect(text).toMatch(/\n- pasta, TCP down: it took too long$/)
  })

  it("replaces what is between the marks, and only that", () => {
    const document = (text: string): string =>
      `# Title\n<!-- figures: passt -->${text}<!-- /figures: passt -->\n<!-- figures: pasta -->\n`
    expect(insert(document("\nold\n"), "passt", "new")).toBe(document("\n\nnew\n\n"))
    expect(insert("", "pasta", "new")).toBe("new\n")
  })
})

describe("a plot", () => {
  const [tcp, process] = linesByGroup(results, ["TCP", "Process"])
  const widths = (svg: string): number[] =>
    [...svg.matchAll(/width="([\d.]+)" height="10"/g)].map(([, width]) => Number(width))

  it("draws a bar for each peer, as long as its median", () => {
    const [ours, pasta, direct] = widths(plot("TCP", results.peers, tcp.lines))
    expect(ours / direct).toBeCloseTo(19 / 40)
    expect(pasta / direct).toBeCloseTo(0.5 / 40, 2)
  })

  it("leaves out who has no value, and is well-formed", () => {
    const svg = plot("Process", results.peers, process.lines)
    expect(widths(svg)).toHaveLength(2)
    expect(svg).toContain("start &amp; end, ms ↓")
  })

  it("has a file name made from its title", () => {
    expect(plotName("TCP, MTU 65520")).toBe("tcp-mtu-65520.svg")
  })
})
