import { errnoName, errnoSentence } from "@demiflow/sys"

/** Why a device could not be opened or used; stable. */
export type TunTapErrorCode =
  /** There is no /dev/net/tun, or no driver behind it. */
  | "ERR_TUN_TAP_MISSING"
  /** This process may not open /dev/net/tun, or may not create or take over the device. */
  | "ERR_TUN_TAP_PERMISSION"
  /** The name belongs to another kind of interface or is in use. */
  | "ERR_TUN_TAP_NAME_IN_USE"
  /** No interface can have this name. */
  | "ERR_TUN_TAP_NAME_INVALID"
  /** The kernel lacks a requested feature. */
  | "ERR_TUN_TAP_UNSUPPORTED"
  /** The device was opened for use in batches, or has been closed. */
  | "ERR_TUN_TAP_MISUSE"
  /** Any other error of the kernel. */
  | "ERR_TUN_TAP_SYSTEM"

/** Thrown when a TUN or TAP device can't be opened or used. The message says what to do. */
export class TunTapError extends Error {
  readonly code: TunTapErrorCode
  /** The system call's error number, if there was one. */
  readonly errno: number | undefined

  constructor(code: TunTapErrorCode, message: string, errno?: number) {
    super(message)
    this.name = "TunTapError"
    this.code = code
    this.errno = errno === undefined ? undefined : Math.abs(errno)
  }
}

const EPERM = 1
const ENOENT = 2
const EIO = 5
const ENXIO = 6
const ENOMEM = 12
const EACCES = 13
const EBUSY = 16
const EINVAL = 22
const ENODEV = 19
const ENOBUFS = 105

/**
 * True for errors that concern a single frame, which the kernel then drops: the virtio header can't express its
 * segmentation (EINVAL), or there is no memory for it. After any other error the device is gone.
 *
 * @param errno positive
 */
export function isAboutOneFrame(errno: number): boolean {
  return errno === EINVAL || errno === EIO || errno === ENOMEM || errno === ENOBUFS
}

/** The error for a failed open of /dev/net/tun. */
export function openError(errno: number): TunTapError {
  switch (Math.abs(errno)) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
      return new TunTapError(
        "ERR_TUN_TAP_MISSING",
        "There is no /dev/net/tun: load the module (`modprobe tun`), or give the container the device",
        errno,
      )
    case EPERM:
    case EACCES:
      return new TunTapError(
        "ERR_TUN_TAP_PERMISSION",
        "No permission to open /dev/net/tun: it should be readable and writable for all (`chmod 0666 /dev/net/tun`)",
        errno,
      )
    default:
      return systemError("open /dev/net/tun", errno)
  }
}

/** The error for a failed TUNSETIFF. */
export function createError(name: string, errno: number): TunTapError {
  switch (Math.abs(errno)) {
    case EPERM:
      return new TunTapError(
        "ERR_TUN_TAP_PERMISSION",
        `No permission to create or open the device${quote(name)}: it takes CAP_NET_ADMIN in the network namespace`,
        errno,
      )
    case EBUSY:
      return new TunTapError(
        "ERR_TUN_TAP_NAME_IN_USE",
        `The device${quote(name)} is in use: choose another name`,
        errno,
      )
    case EINVAL:
      return new TunTapError(
        "ERR_TUN_TAP_NAME_IN_USE",
        `The interface${quote(name)} exists and is another kind of device: choose another name`,
        errno,
      )
    default:
      return systemError(`create the device${quote(name)}`, errno)
  }
}

export function systemError(action: string, errno: number): TunTapError {
  return new TunTapError(
    "ERR_TUN_TAP_SYSTEM",
    `Could not ${action}: ${errnoSentence(errno)} (${errnoName(errno)})`,
    errno,
  )
}

function quote(name: string): string {
  return name === "" ? "" : ` "${name}"`
}
