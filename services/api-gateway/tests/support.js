// What the tests share: a gateway on a real port, a real upstream server whose answers a test chooses, a stand-in pool.
import { createServer } from 'node:http'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createLogger } from '@vital-ops/shared-kernel'
import { buildApp } from '../src/app.js'

export const KEY = 'vk-test-0123456789'
export const sha256 = (text) => createHash('sha256').update(text).digest('hex')

export const SETTINGS = {
  service: 'api-gateway',
  version: 'test',
  environment: 'test',
  migrations: ['0001', '0002'],
  rate_limit_per_minute: 1000,
  key_cache_seconds: 10,
  upstream_timeout_ms: 1000,
  upstream_attempts: 3,
  database_pool_size: 2,
  body_limit_bytes: 2_621_440,
  shutdown_seconds: 2,
}

/** A server that answers with `answer(request, body)` → {status, json, text, type, delay, hangUp}, and keeps what it was asked. */
export async function startUpstream(t, answer) {
  const requests = []
  const server = createServer(async (request, response) => {
    const chunks = []
    for await (const chunk of request) chunks.push(chunk)
    const body = Buffer.concat(chunks).toString()
    const { method, url, headers } = request
    requests.push({ method, url, headers, body: body && JSON.parse(body) })
    const {
      status = 200,
      json,
      text,
      type = 'application/json',
      delay = 0,
      hangUp,
    } = (await answer(requests.at(-1))) ?? {}
    if (delay) await new Promise((resolve) => setTimeout(resolve, delay).unref())
    if (hangUp) return request.socket.destroy()
    response.writeHead(status, { 'content-type': type }).end(text ?? (json === undefined ? '' : JSON.stringify(json)))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${server.address().port}`, requests, server }
}

/** Answers the gateway's three queries; each part can be replaced by a value or a function that throws. */
export function standInPool({
  keys = { [sha256(KEY)]: { id: 1, name: 'tests', rate_limit_per_minute: null } },
  applied = ['0001', '0002'],
} = {}) {
  const pool = {
    asked: [],
    keys,
    applied,
    failure: null,
    async query(query) {
      const text = query.text ?? query
      pool.asked.push(text)
      if (pool.failure) throw pool.failure
      if (text.includes('api_key')) return { rows: [pool.keys[query.values[0]]].filter(Boolean) }
      if (text.includes('applied_migration')) return { rows: pool.applied.map((version) => ({ version })) }
      return { rows: [{}] }
    },
  }
  return pool
}

export async function startGateway(t, { url = 'http://127.0.0.1:9', settings = {}, pool = standInPool(), now } = {}) {
  const lines = []
  const log = createLogger({ service: 'api-gateway', level: 'debug', write: (line) => lines.push(JSON.parse(line)) })
  const app = buildApp({ settings: { ...SETTINGS, aiEngineUrl: url, ...settings }, log, pool, now })
  const base = await app.listen({ host: '127.0.0.1', port: 0 })
  t.after(() => {
    app.server.closeAllConnections()
    return app.close()
  })

  async function send(path, { method = 'GET', body, key = KEY, headers = {} } = {}) {
    const response = await fetch(base + path, {
      method,
      body: body === undefined || typeof body === 'string' ? body : JSON.stringify(body),
      headers: {
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...(key && { authorization: `Bearer ${key}` }),
        ...headers,
      },
    })
    const text = await response.text()
    const isJson = /json/.test(response.headers.get('content-type'))
    return { status: response.status, headers: response.headers, text, json: isJson ? JSON.parse(text) : undefined }
  }
  return {
    app,
    base,
    lines,
    pool,
    send,
    ask: (question = 'why?', more) => send('/v1/answers', { method: 'POST', body: { question }, ...more }),
  }
}
