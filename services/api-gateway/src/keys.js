// API keys: the SHA-256 of what is presented is looked up in app.api_key. An answer, good or bad, is remembered for
// a few seconds, so a revoked key stops working within that time. The key itself is neither kept nor logged.
import { createHash } from 'node:crypto'

const QUERY = `select id, name, rate_limit_per_minute from app.api_key where sha256 = $1 and revoked_at is null`
const MOST_REMEMBERED = 10_000

export function createKeys({ pool, settings, now = Date.now }) {
  const lifetime = settings.key_cache_seconds * 1000
  const remembered = new Map() // sha256 → {client, until}
  const lookups = new Map() // sha256 → promise: many requests with one key ask the database once

  async function lookUp(sha256) {
    const { rows } = await pool.query({ name: 'api-key', text: QUERY, values: [sha256] })
    const client = rows[0]
      ? {
          id: String(rows[0].id),
          name: rows[0].name,
          limit: rows[0].rate_limit_per_minute ?? settings.rate_limit_per_minute,
        }
      : null
    if (remembered.size >= MOST_REMEMBERED) remembered.delete(remembered.keys().next().value)
    if (lifetime > 0) remembered.set(sha256, { client, until: now() + lifetime })
    return client
  }

  return {
    /** The client a key belongs to, or null. Rejects when the database does not answer. */
    async find(key) {
      const sha256 = createHash('sha256').update(key).digest('hex')
      const known = remembered.get(sha256)
      if (known && known.until > now()) return known.client
      remembered.delete(sha256)
      if (!lookups.has(sha256)) {
        lookups.set(
          sha256,
          lookUp(sha256).finally(() => lookups.delete(sha256)),
        )
      }
      return lookups.get(sha256)
    },
  }
}

/** The key of `Authorization: Bearer <key>`, or null. */
export function bearer(header) {
  return /^Bearer +([\x21-\x7e]{1,512}) *$/i.exec(header ?? '')?.[1] ?? null
}
