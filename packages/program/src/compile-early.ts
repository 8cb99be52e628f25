/**
 * How often the runtime lets a function run before it compiles it for speed: for V8 as each of these versions of Node.js has it,
 * tried with 20.20, 22.23 and 24.21. These options are not promised to stay, and V8 complains about those that it doesn't know.
 */
const OPTIONS: Readonly<Record<number, readonly string[]>> = {
  20: ["--interrupt-budget=20000"],
  22: ["--invocation-count-for-turbofan=300"],
  24: ["--invocation-count-for-turbofan=300", "--invocation-count-for-maglev=50"],
}

/**
 * Has functions compiled after a third to a tenth of the runs that are usual. A data path is a few hundred functions, each
 * of which will run for each packet from then on: there is nothing to wait for, and in the first second packets wait for
 * them.
 */
export function compileEarly(version: string = process.versions.node): void {
  const options = OPTIONS[Number.parseInt(version, 10)] ?? []
  if (options.length === 0) return
  // Loaded once everything is ready, not before: it brings the runtime's streams with it.
  const { setFlagsFromString } = process.getBuiltinModule("node:v8")
  for (const option of options) setFlagsFromString(option)
}
