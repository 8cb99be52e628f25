/** The page of this example: its guest's network is at the relay. */
import { startPage } from "./start.ts"

const path = `/${crypto.randomUUID()}`

startPage({
  relayUrl: `ws://${location.host}${path}`,
  async report() {
    const response = await fetch(path)
    return response.status === 200 ? (JSON.parse((await response.text()) || "null") ?? undefined) : undefined
  },
})
