/**
 * What has to be done about a segment that isn't simply the next one (RFC 9293, section 3.10.7; RFC 5961): a decision
 * only, which the driver carries out.
 */
import type { Connection } from "./connection.ts"
import { asksForCorrespondent } from "./keep-alive.ts"
import { type Segment, TcpFlag } from "./segment.ts"
import { distance } from "./sequence-number.ts"
import { State } from "./state.ts"

export const Judgement = {
  /** The acknowledgement, payload and FIN of the segment count. */
  process: 0,
  /** As `process`: the segment acknowledges our SYN. */
  establish: 1,
  /** The segment is the guest's SYN, and acknowledges ours. */
  establishBySyn: 2,
  /** The segment is the guest's SYN, and crossed ours. */
  crossedSyn: 3,
  /** The guest repeats its SYN: ours, which answers it, is sent again. */
  repeatSyn: 4,
  /** Nothing. */
  ignore: 5,
  /** The segment is answered with a reset. */
  refuse: 6,
  /** The connection ends at once, in silence. */
  abort: 7,
  /** The guest's SYN begins another connection between the same ends, in place of this one. */
  replace: 8,
  /** The same, out of TIME-WAIT. */
  succeed: 9,
  /** A challenge acknowledgement, if one may be sent. */
  challenge: 10,
  /** The guest has reset the connection. */
  reset: 11,
  /** The guest probes its correspondent. */
  keepAlive: 12,
  /** The segment is outside the window: it is answered. */
  outside: 13,
  /** The same for a reset, which isn't. */
  outsideInSilence: 14,
} as const
export type JudgementId = (typeof Judgement)[keyof typeof Judgement]

/**
 * Judges a segment.
 *
 * @param isSamePath false if the guest's segments take another path than the ones before, by their hop limit and
 *   traffic class
 */
export function judge(connection: Connection, segment: Segment, isSamePath: boolean): JudgementId {
  const { state } = connection
  if (state === State.connecting) return whileConnecting(connection, segment, isSamePath)
  if (state === State.synSent) return whileSynSent(connection, segment)
  if (segment.has(TcpFlag.syn)) return afterSyn(connection, segment)
  if (segment.has(TcpFlag.reset)) return judgeReset(connection, segment)
  if (asksForCorrespondent(connection, segment)) return Judgement.keepAlive
  if (!connection.receiver.isAcceptable(segment)) return Judgement.outside
  // RFC 9293 3.10.7.4 MUST: a segment without ACK is dropped.
  if (!segment.has(TcpFlag.acknowledgement)) return Judgement.ignore
  if (state !== State.synReceived) return Judgement.process
  // RFC 9293 3.10.7.4 MUST: in SYN-RECEIVED, an acknowledgement of anything but our SYN is answered with a reset.
  return segment.acknowledgement === connection.sender.seqToGuest ? Judgement.establish : Judgement.refuse
}

/** The host isn't connected yet, and the guest knows no number of ours. */
function whileConnecting({ receiver }: Connection, segment: Segment, isSamePath: boolean): JudgementId {
  if (segment.has(TcpFlag.reset)) return segment.sequence === receiver.seqFromGuest ? Judgement.abort : Judgement.ignore
  if (segment.has(TcpFlag.acknowledgement)) return Judgement.refuse
  if (!segment.has(TcpFlag.syn)) return Judgement.ignore
  if (segment.sequence === receiver.initialFromGuest && isSamePath) return Judgement.ignore
  // The guest gave up the first attempt and begins another one between the same ends; or it probes the next router.
  return Judgement.replace
}

function whileSynSent({ sender }: Connection, segment: Segment): JudgementId {
  const isAnswer = segment.has(TcpFlag.acknowledgement)
  // RFC 9293 3.10.7.3 MUST: an acknowledgement of anything but our SYN is answered with a reset.
  if (isAnswer && segment.acknowledgement !== sender.seqToGuestHighest) return Judgement.refuse
  if (segment.has(TcpFlag.reset)) {
    // RFC 9293 3.10.7.3 MUST: a reset counts only if it acknowledges our SYN.
    return isAnswer ? Judgement.abort : Judgement.ignore
  }
  if (!segment.has(TcpFlag.syn)) return Judgement.ignore
  // RFC 9293 3.5 MUST: both ends may begin at once.
  return isAnswer ? Judgement.establishBySyn : Judgement.crossedSyn
}

/** Judges a SYN after the guest's SYN. */
function afterSyn({ state, receiver }: Connection, segment: Segment): JudgementId {
  if (!segment.has(TcpFlag.acknowledgement)) {
    if (state === State.synReceived && segment.sequence === receiver.initialFromGuest) return Judgement.repeatSyn
    // RFC 9293 3.6.1 MAY: a later sequence number begins a new connection out of TIME-WAIT.
    if (state === State.timeWait && distance(receiver.seqFromGuest, segment.sequence) > 0) return Judgement.succeed
  }
  // RFC 5961 4.2 MUST: a SYN is answered with a challenge acknowledgement, whatever its number.
  return Judgement.challenge
}

function judgeReset({ state, receiver }: Connection, segment: Segment): JudgementId {
  // RFC 1337 3 SHOULD: no reset ends TIME-WAIT. What is still held for the host must not be lost.
  if (state === State.timeWait) return Judgement.ignore
  // RFC 5961 3.2 MUST: only the next expected number resets.
  // The guest may only know that we expect `ackToGuest`: what the correspondent has acknowledged.
  const { sequence } = segment
  if (sequence === receiver.seqFromGuest || sequence === receiver.ackToGuest) return Judgement.reset
  // RFC 5961 3.2 MUST: another number inside the window is challenged, one outside is dropped in silence.
  return receiver.isAcceptable(segment) ? Judgement.challenge : Judgement.outsideInSilence
}
