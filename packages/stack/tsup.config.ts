import { declarations, library } from "../../tsup.base.ts"

// For `Symbol.dispose`, which a program's `lib` need not have.
export default library({ dts: { ...declarations, banner: '/// <reference lib="esnext.disposable" />' } })
