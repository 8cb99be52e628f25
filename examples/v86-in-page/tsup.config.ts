import { defineConfig, type Options } from "tsup"

/** Bundled from the sources of the packages, so that they needn't be built before. */
const shared: Options = {
  format: ["esm"],
  noExternal: [/^@demiflow\//],
  external: [/\.node$/],
  silent: true,
  esbuildOptions(settings) {
    settings.conditions = ["@demiflow/source"]
  },
}

export default defineConfig([
  { ...shared, entry: ["src/main.ts"], target: "node20" },
  // The page. Its browser finds v86, which the other example's files import, by the import map of index.html.
  {
    ...shared,
    entry: ["page/page.ts"],
    external: ["v86"],
    platform: "browser",
    target: "es2022",
    splitting: false,
    minify: true,
  },
])
