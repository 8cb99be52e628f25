/** The builders, for `import { build } from "@demiflow/testkit"`. */
export * from "./build-network.ts"
export * from "./build-transport.ts"
export { type Layer, patternPayload, payload } from "./layer.ts"
