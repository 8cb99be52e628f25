/**
 * A thread with gateways of its own: each of its guests asks a web server, and the answers go to the thread's parent.
 */
import { parentPort, workerData } from "node:worker_threads"
import { ask, TestGuest } from "./test-support.ts"

/** What a test hands to the thread. */
export interface ThreadData {
  readonly port: number
  readonly guests: number
  /** Leaves the gateways open. */
  readonly stays: boolean
  readonly socketsKind: "sys" | "node"
}

const { port, guests, stays, socketsKind }: ThreadData = workerData
const opened: TestGuest[] = []
for (let count = 0; count < guests; count++) opened.push(await TestGuest.open({ socketsKind }))
parentPort?.postMessage(await Promise.all(opened.map((guest) => ask(guest, port))))
// What stays is ended with the thread.
if (!stays) for (const { gateway } of opened) gateway.close()
