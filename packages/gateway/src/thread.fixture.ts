/** A thread with gateways of its own: each of its guests asks a web server, and the answers go to the thread's parent. */
import { parentPort, workerData } from "node:worker_threads"
import { ask, TestGuest } from "./test-support.ts"

const { port, guests, stays }: { port: number; guests: number; stays: boolean } = workerData
const opened: TestGuest[] = []
for (let count = 0; count < guests; count++) opened.push(await TestGuest.open())
parentPort?.postMessage(await Promise.all(opened.map((guest) => ask(guest, port))))
// What stays is ended with the thread.
if (!stays) for (const { gateway } of opened) gateway.close()
