// The gateway as an application: who may ask (keys.js, rate-limit.js), what a request must look like (validation.js),
// who answers (upstream.js), and the same form for every error. server.js starts and stops it; tests build their own.
import { requestId } from '@vital-ops/shared-kernel'
import Fastify, { LogController } from 'fastify'
import { answerErrors } from './errors.js'
import { createKeys } from './keys.js'
import { measure } from './metrics.js'
import { createRateLimit } from './rate-limit.js'
import { createReadiness } from './readiness.js'
import { apiRoutes } from './routes/api.js'
import { openapiRoutes } from './routes/openapi.js'
import { operationsRoutes } from './routes/operations.js'
import { pageRoutes } from './routes/page.js'
import { createUpstream } from './upstream.js'
import { validatorCompiler } from './validation.js'

// Asked every few seconds by machines; a change of readiness is logged by itself.
const QUIET = new Set(['/healthz', '/readyz', '/metrics', '/v1/status'])

/** `pool` is anything with pg's `query`; `fetch` and `now` can be replaced in tests. */
export function buildApp({ settings, log, pool, fetch = globalThis.fetch, now = Date.now }) {
  const app = Fastify({
    loggerInstance: log.child({}, { level: 'warn' }), // the framework's own lines; requests are logged below
    childLoggerFactory: (_logger, { request_id }) => log.child({ request_id }),
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'request_id' }),
    genReqId: (request) => requestId(request.headers['x-request-id']),
    bodyLimit: settings.body_limit_bytes,
    requestTimeout: 30_000,
    forceCloseConnections: 'idle',
    return503OnClosing: false, // a request that comes on an open connection is still answered, and the connection closed
    ...answerErrors.forFramework,
  })
  app.setValidatorCompiler(validatorCompiler)
  app.removeContentTypeParser('text/plain')

  const metrics = measure(app, { settings, pool })
  const upstream = createUpstream({ name: 'ai-engine', url: settings.aiEngineUrl, settings, metrics, fetch })
  const readiness = createReadiness({ settings, pool, upstream, log, now })
  const services = {
    settings,
    metrics,
    upstream,
    readiness,
    keys: createKeys({ pool, settings, now }),
    rateLimit: createRateLimit({ now }),
  }
  let isShuttingDown = false
  app.decorate('beginShutdown', () => {
    isShuttingDown = true
    readiness.beginShutdown()
  })

  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id).header('x-content-type-options', 'nosniff')
  })
  app.addHook('onSend', async (request, reply) => {
    if (isShuttingDown) reply.header('connection', 'close') // else the client's idle connection would hold up the end
  })
  app.addHook('onResponse', async (request, reply) => {
    const level = QUIET.has(request.routeOptions.url) ? 'debug' : reply.statusCode >= 500 ? 'error' : 'info'
    request.log[level]('request', {
      method: request.method,
      route: request.routeOptions.url ?? 'unmatched',
      status: reply.statusCode,
      duration_ms: Math.round(reply.elapsedTime * 10) / 10,
      client: request.client?.name,
    })
  })
  answerErrors(app)

  app.register(operationsRoutes, services)
  app.register(apiRoutes, services)
  app.register(openapiRoutes, services)
  app.register(pageRoutes)
  return app
}
