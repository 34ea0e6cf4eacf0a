// A token bucket a key: it holds a minute's worth and refills evenly. In memory, so each instance counts for itself.
const MINUTE = 60_000

export function createRateLimit({ now = Date.now } = {}) {
  const buckets = new Map() // client id → {tokens, at}
  let swept = now()

  function sweep(time) {
    if (time - swept < MINUTE) return
    swept = time
    for (const [id, { at }] of buckets) if (time - at >= MINUTE) buckets.delete(id) // full again: as good as new
  }

  return {
    /** Takes one token of `client`: {allowed, limit, remaining, reset, retryAfter}, the times in whole seconds. */
    take({ id, limit }) {
      const time = now()
      sweep(time)
      const perMillisecond = limit / MINUTE
      const before = buckets.get(id) ?? { tokens: limit, at: time }
      const tokens = Math.min(limit, before.tokens + Math.max(0, time - before.at) * perMillisecond)
      const allowed = tokens >= 1
      const left = allowed ? tokens - 1 : tokens
      buckets.set(id, { tokens: left, at: time })
      return {
        allowed,
        limit,
        remaining: Math.floor(left),
        reset: Math.ceil((limit - left) / perMillisecond / 1000),
        retryAfter: allowed ? 0 : Math.max(1, Math.ceil((1 - left) / perMillisecond / 1000)),
      }
    },
  }
}
