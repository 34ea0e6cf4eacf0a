// What the people and machines that run the gateway ask it. Open: nothing here tells a secret.
export async function operationsRoutes(app, { settings, metrics, readiness }) {
  const { service, version, environment } = settings
  app.addHook('onSend', async (request, reply) => {
    reply.header('cache-control', 'no-store')
  })

  app.get('/healthz', async () => ({ status: 'ok', service, version }))

  app.get('/readyz', async (request, reply) => {
    const answer = await readiness.readiness()
    return reply.code(answer.status === 'ready' ? 200 : 503).send(answer)
  })

  app.get('/metrics', async (request, reply) => reply.type(metrics.contentType).send(await metrics.text()))

  app.get('/v1/status', async () => ({ services: await readiness.services(), version, environment }))
}
