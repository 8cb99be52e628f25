import { application } from "../../tsup.base.ts"

// Two files that are not modules: Node starts these sooner, by some 15 ms each, and starts both each time.
export default application({
  entry: ["src/main.ts", "src/data-path.ts", "src/run.ts", "src/keep.ts"],
  format: ["cjs"],
  outExtension: () => ({ js: ".cjs" }),
  // Provides what is relative to `import.meta.url`.
  shims: true,
  splitting: false,
  minifyWhitespace: true,
  minifySyntax: true,
  onSuccess: "node bin/keep.js",
})
