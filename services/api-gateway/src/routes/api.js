// The API: the caller's key first, then its rate limit, then the shape of the request, then ai-engine.
import { PROBLEM_TYPE } from '@vital-ops/shared-kernel'
import { HttpError } from '../errors.js'
import { bearer } from '../keys.js'
import { shared } from '../validation.js'

const QUESTION_BODY_LIMIT = 65_536 // a thousand characters, however they are escaped, and room to spare

export async function apiRoutes(app, { settings, metrics, upstream, keys, rateLimit }) {
  app.decorateRequest('client', null)

  app.addHook('onRequest', async (request, reply) => {
    reply.header('cache-control', 'no-store')
    request.client = await authenticate(request)
    const { allowed, limit, remaining, reset, retryAfter } = rateLimit.take(request.client)
    reply.headers({ 'ratelimit-limit': limit, 'ratelimit-remaining': remaining, 'ratelimit-reset': reset })
    if (!allowed) {
      metrics.rate_limited_requests_total.inc({ service: settings.service })
      throw new HttpError(429, `this key may ask ${limit} times a minute; try again in ${retryAfter} s`, {
        headers: { 'retry-after': retryAfter },
      })
    }
  })

  async function authenticate(request) {
    const key = bearer(request.headers.authorization)
    if (!key) throw unauthorized('send an API key: Authorization: Bearer <key>', 'Bearer realm="vital-ops"')
    let client
    try {
      client = await keys.find(key)
    } catch {
      request.log.warn('an API key could not be looked up: the database does not answer')
      throw new HttpError(503, 'keys cannot be checked right now', { headers: { 'retry-after': '2' } })
    }
    if (!client) {
      const challenge = 'Bearer realm="vital-ops", error="invalid_token"'
      throw unauthorized('the API key is not known or was revoked', challenge)
    }
    return client
  }

  /** Passes the request on and its answer back as it is; only what reads is safe to send again. */
  const pass = (path, { isSafe }) =>
    async function (request, reply) {
      const body = request.body === undefined || request.body === null ? undefined : JSON.stringify(request.body)
      const { status, type, text } = await upstream.request(path(request), {
        method: request.method,
        body,
        id: request.id,
        isSafe,
      })
      reply.code(status)
      if (status === 204) return reply.send()
      return reply.type(type.startsWith('application/problem+json') ? PROBLEM_TYPE : type).send(text)
    }

  const one = ({ params }) => `/v1/documents/${params.id}`
  const all = () => '/v1/documents'
  const page = ({ query }) => `/v1/documents?${new URLSearchParams(query)}`

  app.post(
    '/v1/answers',
    { schema: { body: shared('answers-request') }, bodyLimit: QUESTION_BODY_LIMIT },
    pass(() => '/v1/answers', { isSafe: true }),
  )
  app.post('/v1/documents', { schema: { body: shared('document-request') } }, pass(all, { isSafe: false }))
  app.get('/v1/documents', { schema: { querystring: shared('document-list-query') } }, pass(page, { isSafe: true }))
  app.get('/v1/documents/:id', { schema: { params: shared('document-params') } }, pass(one, { isSafe: true }))
  app.delete('/v1/documents/:id', { schema: { params: shared('document-params') } }, pass(one, { isSafe: false }))
}

const unauthorized = (detail, challenge) => new HttpError(401, detail, { headers: { 'www-authenticate': challenge } })
