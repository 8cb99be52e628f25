import { defineConfig, type Options } from "tsup"
import { inlineConstants } from "./scripts/constants/inline.mjs"

type Config = ReturnType<typeof defineConfig>

/** Declarations. Other workspace packages are seen as they are published, not through their sources. */
export const declarations = { compilerOptions: { customConditions: [] } }

/** A package that is published as a library: one entry, declarations, everything it depends on left outside. */
export function library(options: Options = {}): Config {
  return defineConfig({
    entry: ["src/index.ts"],
    format: ["esm"],
    target: "node20",
    platform: "neutral",
    dts: declarations,
    sourcemap: true,
    clean: true,
    splitting: false,
    // Inlines constants: in a bundle they are variables, which would be loaded for each packet.
    minifySyntax: true,
    esbuildPlugins: [inlineConstants()],
    ...options,
  })
}

/**
 * A command: the workspace packages are bundled, so that it starts from as few files as possible. They are bundled from
 * their sources, as tests see them: a command can be built before they are, and is never older than they are.
 */
export function application(options: Options): Config {
  return defineConfig({
    format: ["esm"],
    target: "node20",
    platform: "node",
    noExternal: [/^@demiflow\//],
    // The native addon is a binary: it is loaded from its package when the command runs.
    external: [/\.node$/],
    dts: false,
    sourcemap: true,
    clean: true,
    splitting: true,
    esbuildPlugins: [inlineConstants()],
    esbuildOptions(settings) {
      settings.conditions = ["@demiflow/source"]
    },
    ...options,
  })
}
