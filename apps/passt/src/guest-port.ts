import type { Link } from "@demiflow/core"
import type { EntranceHooks, StreamListener } from "@demiflow/stream-link"

/** Callbacks to the owner of a {@link GuestPort}. */
export interface GuestPortHooks extends Required<Pick<EntranceHooks, "onRefused" | "onAcceptError">> {
  /**
   * A hypervisor has connected.
   *
   * @param process its process id; 0 if unknown
   */
  onConnected(process: number): void
  /** The guest's network card works, for the first time or again. */
  onReady(): void
  /** Frames wait on the link. */
  onFrames(): void
  /** The link is no longer congested. */
  onResume(): void
  /**
   * The hypervisor is gone.
   *
   * @param text why, for the log
   * @param isFault true if the hypervisor did something that it must not
   */
  onGone(text: string, isFault: boolean): void
}

/** Where a hypervisor plugs in its guest: the link to the guest, and how hypervisors connect. One at a time. */
export interface GuestPort {
  readonly link: Link
  /** Accepts hypervisors from now on. */
  listen(listener: StreamListener): void
  /** Takes over a connected socket. Throws `StreamError` with code `ERR_STREAM_DESCRIPTOR` for others. */
  adopt(descriptor: number): void
  /** The link has answered with an error. */
  checkEnd(): void
  /** Disconnects the hypervisor, without a callback, and closes the listener. */
  close(): void
}
