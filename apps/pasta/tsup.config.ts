import { application } from "../../tsup.base.ts"

export default application({ entry: ["src/main.ts", "src/data-path.ts"] })
