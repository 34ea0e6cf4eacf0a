import { randomUUID } from 'node:crypto'

const ACCEPTED = /^[A-Za-z0-9._-]{1,128}$/

/** The id of a request: the one it came with when it is well formed, else a new one. */
export function requestId(given) {
  return typeof given === 'string' && ACCEPTED.test(given) ? given : randomUUID()
}
