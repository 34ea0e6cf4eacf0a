import { buildOpenapi } from '../openapi.js'

export async function openapiRoutes(app, { settings }) {
  const text = JSON.stringify(buildOpenapi(settings))
  app.get('/openapi.json', async (request, reply) =>
    reply.header('cache-control', 'no-cache').type('application/json; charset=utf-8').send(text),
  )
}
