// Requests to another service: one deadline for all attempts, retries with jitter for what only reads, and a budget,
// so that retries never become the load that keeps a struggling service down. Connections are kept alive by fetch.
import { setTimeout as sleep } from 'node:timers/promises'
import { HttpError } from './errors.js'

const RETRIED_STATUSES = new Set([502, 503, 504])
const BUDGET = { most: 10, perRequest: 0.2 } // a burst of ten, then at most one retry for five requests
const FIRST_PAUSE_MS = 50

export function createUpstream({ name, url, settings, metrics, fetch }) {
  const base = url.replace(/\/+$/, '')
  let budget = BUDGET.most

  const count = (outcome) => metrics.upstream_requests_total.inc({ service: settings.service, upstream: name, outcome })

  async function attempt(path, { method, body, id, signal }) {
    const response = await fetch(base + path, {
      method,
      signal,
      redirect: 'error',
      headers: { accept: 'application/json', 'x-request-id': id, ...(body && { 'content-type': 'application/json' }) },
      body,
    })
    const text = await response.text()
    return { status: response.status, type: response.headers.get('content-type') ?? '', text }
  }

  async function mayRetry(number, signal) {
    if (number >= settings.upstream_attempts || budget < 1 || signal.aborted) return false
    budget -= 1
    count('retried')
    await sleep(Math.random() * FIRST_PAUSE_MS * 2 ** number, undefined, { signal }).catch(() => {})
    return !signal.aborted
  }

  /** {status, type, text}; rejects with fetch's error. `isSafe`: may be sent again. */
  async function send(path, { method = 'GET', body, id, isSafe = false, timeout = settings.upstream_timeout_ms }) {
    const signal = AbortSignal.timeout(timeout)
    budget = Math.min(BUDGET.most, budget + BUDGET.perRequest)
    for (let number = 1; ; number++) {
      try {
        const answer = await attempt(path, { method, body, id, signal })
        if (isSafe && RETRIED_STATUSES.has(answer.status) && (await mayRetry(number, signal))) continue
        count(answer.status < 500 ? 'ok' : 'error')
        return answer
      } catch (error) {
        if (isSafe && !signal.aborted && (await mayRetry(number, signal))) continue
        count(signal.aborted ? 'timeout' : 'error')
        throw signal.aborted ? new DOMException('no answer in time', 'TimeoutError') : error
      }
    }
  }

  return {
    name,
    send,

    /** As `send`, but what is no good answer is an error for the caller: 502, 503 or 504. */
    async request(path, options) {
      let answer
      try {
        answer = await send(path, options)
      } catch (error) {
        if (error.name === 'TimeoutError') throw new HttpError(504, `${name} did not answer in time`)
        throw new HttpError(502, `${name} cannot be reached`)
      }
      if (answer.status === 503) throw new HttpError(503, `${name} is not ready`, { headers: { 'retry-after': '2' } })
      if (answer.status >= 500) throw new HttpError(502, `${name} failed to answer`)
      if (answer.status !== 204 && !/^application\/(problem\+)?json\b/.test(answer.type)) {
        throw new HttpError(502, `${name} answered something that is not JSON`)
      }
      return answer
    },
  }
}

/** Why a request was not answered, in words without addresses. */
export function upstreamReason(error) {
  if (error.name === 'TimeoutError') return 'no answer in time'
  const code = error.cause?.code ?? error.cause?.errors?.[0]?.code
  const reasons = {
    ECONNREFUSED: 'connection refused',
    ENOTFOUND: 'its host is not known',
    ECONNRESET: 'connection lost',
  }
  return reasons[code] ?? 'not reachable'
}
