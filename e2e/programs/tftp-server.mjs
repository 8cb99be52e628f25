// A TFTP server like those from which machines boot: it answers every request from a new port (RFC 1350, section 4),
// with the options "blksize" and "tsize" (RFC 2347–2349). Request: {"listen": [addresses], "files": {name: path}}.
//
//   {"event": "sent", "name", "bytes", "blockSize", "client": [ports]}   the last block is acknowledged; the ports that
//                                                                        the client has used, that of its request first
import dgram from "node:dgram"
import { readFileSync } from "node:fs"

const Opcode = { readRequest: 1, data: 3, acknowledgement: 4, error: 5, optionAcknowledgement: 6 }
const PORT = 69
/** Milliseconds until an unacknowledged block is retransmitted. */
const PATIENCE = 1000

const say = (event) => process.stdout.write(`${JSON.stringify(event)}\n`)
const { listen, files } = JSON.parse(process.argv[2])

const numbers = (...values) => Buffer.from(values.flatMap((value) => [value >> 8, value & 0xff]))
const strings = (...values) => Buffer.from(values.map((value) => `${value}\0`).join(""))

/** Name and options of a request to read; names of options are in lower case. */
function parseRequest(message) {
  const [name, _mode, ...options] = message.toString("latin1", 2).split("\0").slice(0, -1)
  const pairs = options.flatMap((key, i) => (i % 2 === 0 ? [[key.toLowerCase(), options[i + 1]]] : []))
  return { name, options: new Map(pairs) }
}

function answer(address, message, from) {
  const { name, options } = parseRequest(message)
  const socket = dgram.createSocket(address.includes(":") ? "udp6" : "udp4")
  socket.bind(0, address, () => {
    const send = (packet) => socket.send(packet, from.port, from.address)
    const path = files[name]
    if (path === undefined) {
      send(Buffer.concat([numbers(Opcode.error, 1), strings("no such file")]))
      return socket.close()
    }
    transfer(socket, send, { name, content: readFileSync(path), options, from })
  })
}

function transfer(socket, send, { name, content, options, from }) {
  const blockSize = Number(options.get("blksize") ?? 512)
  const accepted = [
    ...(options.has("blksize") ? ["blksize", blockSize] : []),
    ...(options.has("tsize") ? ["tsize", content.length] : []),
  ]
  const client = new Set([from.port])
  /** Blocks before this one are acknowledged; block 0 is the acknowledgement of options. */
  let block = accepted.length > 0 ? 0 : 1
  let timer
  const sendBlock = () => {
    clearTimeout(timer)
    timer = setTimeout(sendBlock, PATIENCE)
    if (block === 0) return send(Buffer.concat([numbers(Opcode.optionAcknowledgement), strings(...accepted)]))
    const start = (block - 1) * blockSize
    send(Buffer.concat([numbers(Opcode.data, block & 0xffff), content.subarray(start, start + blockSize)]))
  }
  const finish = () => {
    clearTimeout(timer)
    socket.close()
  }
  socket.on("message", (packet, sender) => {
    client.add(sender.port)
    const opcode = packet.readUInt16BE(0)
    if (opcode === Opcode.error) return finish()
    if (opcode !== Opcode.acknowledgement || packet.readUInt16BE(2) !== (block & 0xffff)) return
    // The last block is short, and may be empty.
    if (block > 0 && block * blockSize > content.length) {
      say({ event: "sent", name, bytes: content.length, blockSize, client: [...client] })
      return finish()
    }
    block++
    sendBlock()
  })
  sendBlock()
}

for (const address of listen) {
  const socket = dgram.createSocket(address.includes(":") ? "udp6" : "udp4")
  socket.on("message", (message, from) => {
    if (message.readUInt16BE(0) === Opcode.readRequest) answer(address, message, from)
  })
  await new Promise((resolve) => socket.bind(PORT, address, resolve))
}
say("ready")
