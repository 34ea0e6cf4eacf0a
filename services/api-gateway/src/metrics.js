import { createMetrics } from '@vital-ops/shared-kernel'
import client from 'prom-client'

const NAMES = [
  'http_requests_total',
  'http_request_duration_seconds',
  'http_requests_in_flight',
  'db_pool_connections',
  'db_pool_waiting',
  'db_pool_max_connections',
  'upstream_requests_total',
  'rate_limited_requests_total',
  'service_info',
]

/** Counts and times every request of `app`; the metrics by name, and `text()` for the scrape. */
export function measure(app, { settings, pool }) {
  const { service, version, environment } = settings
  const registry = new client.Registry()
  client.collectDefaultMetrics({ register: registry })
  const metrics = createMetrics(client, registry, NAMES, {
    db_pool_connections: (gauge) => {
      gauge.set({ service, state: 'idle' }, pool.idleCount ?? 0)
      gauge.set({ service, state: 'used' }, (pool.totalCount ?? 0) - (pool.idleCount ?? 0))
    },
    db_pool_waiting: (gauge) => gauge.set({ service }, pool.waitingCount ?? 0),
    db_pool_max_connections: (gauge) => gauge.set({ service }, settings.database_pool_size),
  })
  metrics.service_info.set({ service, version, environment }, 1)
  metrics.rate_limited_requests_total.inc({ service }, 0)

  // Counted on the raw response, so that one whose reader went away is counted too.
  app.addHook('onRequest', async (request, reply) => {
    metrics.http_requests_in_flight.inc({ service })
    reply.raw.once('close', () => {
      const labels = { service, method: request.method, route: request.routeOptions.url ?? 'unmatched' }
      metrics.http_requests_in_flight.dec({ service })
      metrics.http_requests_total.inc({ ...labels, status: reply.statusCode })
      metrics.http_request_duration_seconds.observe(labels, reply.elapsedTime / 1000)
    })
  })
  return { ...metrics, text: () => registry.metrics(), contentType: registry.contentType }
}
