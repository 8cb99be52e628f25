// A name server, over UDP and TCP, that also says who answered whom. Request: {"listen": [addresses]}.
//
//   host.example  A, AAAA     big.example  TXT too large for UDP: truncated there
//   who.example   TXT "<address that was asked> <address of the client>"
import dgram from "node:dgram"
import net from "node:net"
import dns from "dns-packet"

const answers = {
  "host.example A": () => ["198.51.100.7"],
  "host.example AAAA": () => ["2001:db8:2::7"],
  "big.example TXT": () => Array.from({ length: 20 }, (_, i) => `${i} ${"x".repeat(200)}`),
  "who.example TXT": (asked, client) => [`${asked} ${client}`],
}

function respond(query, asked, client) {
  const [{ name, type }] = query.questions
  const data = answers[`${name.toLowerCase()} ${type}`]?.(asked, client)
  return {
    id: query.id,
    type: "response",
    flags: dns.RECURSION_DESIRED | dns.RECURSION_AVAILABLE | dns.AUTHORITATIVE_ANSWER | (data ? 0 : 3),
    questions: query.questions,
    answers: (data ?? []).map((value) => ({ name, type, ttl: 60, data: value })),
  }
}

const { listen } = JSON.parse(process.argv[2])
for (const address of listen) {
  const socket = dgram.createSocket(address.includes(":") ? "udp6" : "udp4")
  socket.on("message", (message, from) => {
    const query = dns.decode(message)
    const response = respond(query, address, from.address)
    let bytes = dns.encode(response)
    if (bytes.length > 1200)
      bytes = dns.encode({ ...response, answers: [], flags: response.flags | dns.TRUNCATED_RESPONSE })
    socket.send(bytes, from.port, from.address)
  })
  await new Promise((resolve) => socket.bind(53, address, resolve))
  const server = net.createServer((connection) => {
    let bytes = Buffer.alloc(0)
    connection.on("error", () => {})
    connection.on("data", (piece) => {
      bytes = Buffer.concat([bytes, piece])
      while (bytes.length >= 2 && bytes.length >= 2 + bytes.readUInt16BE(0)) {
        const length = 2 + bytes.readUInt16BE(0)
        const query = dns.streamDecode(bytes.subarray(0, length))
        connection.write(dns.streamEncode(respond(query, address, connection.remoteAddress)))
        bytes = bytes.subarray(length)
      }
    })
  })
  await new Promise((resolve) => server.listen(53, address, resolve))
}
process.stdout.write("ready\n")
