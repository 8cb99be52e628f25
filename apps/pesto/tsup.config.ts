import { application } from "../../tsup.base.ts"

export default application({
  entry: ["src/main.ts"],
  format: ["cjs"],
  outExtension: () => ({ js: ".cjs" }),
  splitting: false,
  minifyWhitespace: true,
  minifySyntax: true,
})
