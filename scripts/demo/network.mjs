// The addresses of the demo's small internet, all from ranges for documentation.
//
//   guest ┄┄ pasta ┄┄ host ──── router ──── world

export const host = { 4: "192.0.2.2", 6: "2001:db8:1::2" }
export const gateway = { 4: "192.0.2.1", 6: "2001:db8:1::1" }
export const server = { 4: "198.51.100.7", 6: "2001:db8:2::7" }
export const PORT = 80
export const NAME = "host.example"

/** A file that has this many bytes. */
export const path = (bytes) => `/bytes/${bytes}`
