/** UDP (RFC 768): offsets in bytes from the start of the header. */
export const UDP_HEADER_LENGTH = 8
export const UDP_SOURCE_PORT = 0
export const UDP_TARGET_PORT = 2
export const UDP_LENGTH = 4
export const UDP_CHECKSUM = 6
