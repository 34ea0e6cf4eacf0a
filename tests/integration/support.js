import { randomBytes } from 'node:crypto'

function required(name) {
  if (!process.env[name]) throw new Error(`\`${name}\` is not set; run this suite with: cargo xtask test integration`)
  return process.env[name].replace(/\/+$/, '')
}

export const gateway = required('API_GATEWAY_URL')
export const engine = required('AI_ENGINE_URL')
export const apiKey = required('API_KEY')
export const databaseUrl = process.env.DATABASE_URL

/** A name no other run uses. */
export const unique = (what) => `integration/${what}-${randomBytes(6).toString('hex')}`

/**
 * {status, headers, text, json}; with the API key unless `key` says another, or null for none. Where the key is over its
 * rate limit, because suites ran one after the other, it waits as it is told.
 */
export async function call(path, options) {
  const answer = await send(path, options)
  if (answer.status !== 429) return answer
  await new Promise((resolve) => setTimeout(resolve, Number(answer.headers.get('retry-after')) * 1000))
  return call(path, options)
}

async function send(path, { base = gateway, method = 'GET', body, key = apiKey, headers = {} } = {}) {
  const response = await fetch(base + path, {
    method,
    body: body === undefined || typeof body === 'string' ? body : JSON.stringify(body),
    headers: {
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...(key && base === gateway && { authorization: `Bearer ${key}` }),
      ...headers,
    },
    signal: AbortSignal.timeout(15_000),
  })
  const text = await response.text()
  const json = /json/.test(response.headers.get('content-type')) && text ? JSON.parse(text) : undefined
  return { status: response.status, headers: response.headers, text, json }
}

export const ask = (question, options) => call('/v1/answers', { method: 'POST', body: { question }, ...options })
