/**
 * How often the runtime runs a function before it optimizes it, by version of Node.js: the options of that version's
 * V8, tried with 20.20, 22.23 and 24.21. These options may disappear, and V8 complains about unknown ones.
 */
const OPTIONS: Readonly<Record<number, readonly string[]>> = {
  20: ["--interrupt-budget=20000"],
  22: ["--invocation-count-for-turbofan=300"],
  24: ["--invocation-count-for-turbofan=300", "--invocation-count-for-maglev=50"],
}

/**
 * Makes V8 optimize functions after a third to a tenth of the usual number of runs. A data path is a few hundred
 * functions, each of which runs for every packet from then on. There is no reason to wait, and in the first second
 * packets wait for them.
 */
export function compileEarly(version: string = process.versions.node): void {
  const options = OPTIONS[Number.parseInt(version, 10)] ?? []
  if (options.length === 0) return
  // Loaded only once everything is ready: it loads the runtime's streams too.
  const { setFlagsFromString } = process.getBuiltinModule("node:v8")
  for (const option of options) setFlagsFromString(option)
}
