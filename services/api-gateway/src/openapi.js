// The OpenAPI 3.1 description, made of the shared schemas: what is described is what is checked.
import { loadSchemas } from '@vital-ops/shared-kernel'

const ID = /^urn:vital-ops:schema:/

export function buildOpenapi({ version }) {
  const schemas = loadSchemas()
  return {
    openapi: '3.1.0',
    info: {
      title: 'vital-ops API',
      version,
      description: 'Ask the documents of the operations workspace, and keep them.',
    },
    servers: [{ url: '/' }],
    tags: [{ name: 'answers' }, { name: 'documents' }, { name: 'operations', description: 'Open, without a key' }],
    security: [{ apiKey: [] }],
    paths: {
      '/v1/answers': {
        post: secured('answers', 'ask', 'Ask a question', {
          requestBody: body('answers-request'),
          responses: { 200: json('The best passages, one answer a document', 'answers-response'), ...REFUSED_BODY },
        }),
      },
      '/v1/documents': {
        get: secured('documents', 'listDocuments', 'List the documents', {
          parameters: parameters(schemas['document-list-query'], 'query'),
          responses: { 200: json('A page of documents', 'document-list') },
        }),
        post: secured('documents', 'storeDocument', 'Store a document, or replace the one with its source', {
          requestBody: body('document-request'),
          responses: { 200: json('Replaced', 'document'), 201: json('New', 'document'), ...REFUSED_BODY },
        }),
      },
      '/v1/documents/{id}': {
        parameters: parameters(schemas['document-params'], 'path'),
        get: secured('documents', 'readDocument', 'What is known of a document', {
          responses: { 200: json('The document', 'document'), 404: refused('There is none') },
        }),
        delete: secured('documents', 'deleteDocument', 'Delete a document', {
          responses: { 204: { description: 'Deleted', headers: HEADERS }, 404: refused('There is none') },
        }),
      },
      '/v1/status': { get: open('status', 'State of the system', { 200: json('The state', 'status') }) },
      '/healthz': { get: open('health', 'The process answers', { 200: json('It does', 'health') }) },
      '/readyz': {
        get: open('readiness', 'It can do its work', {
          200: json('Ready', 'readiness'),
          503: json('Not ready', 'readiness'),
        }),
      },
      '/metrics': {
        get: open('metrics', 'Metrics for Prometheus', {
          200: { description: 'The metrics', content: { 'text/plain': { schema: { type: 'string' } } } },
        }),
      },
    },
    components: {
      securitySchemes: { apiKey: { type: 'http', scheme: 'bearer', description: 'An API key of app.api_key' } },
      schemas: Object.fromEntries(Object.entries(schemas).map(([name, schema]) => [name, component(schema)])),
      headers: {
        'x-request-id': { description: 'Finds the request in the logs', schema: { type: 'string' } },
        'retry-after': { description: 'Seconds to wait', schema: { type: 'integer' } },
        'ratelimit-limit': { description: 'Requests a minute', schema: { type: 'integer' } },
        'ratelimit-remaining': { description: 'Requests left now', schema: { type: 'integer' } },
        'ratelimit-reset': { description: 'Seconds until the full number is there again', schema: { type: 'integer' } },
      },
    },
  }
}

const headers = (...names) => Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]))
const HEADERS = headers('x-request-id', 'ratelimit-limit', 'ratelimit-remaining', 'ratelimit-reset')
const schema = (name) => ({ $ref: `#/components/schemas/${name}` })
const json = (description, name) => ({
  description,
  headers: headers('x-request-id'),
  content: { 'application/json': { schema: schema(name) } },
})
const refused = (description, more = []) => ({
  description,
  headers: headers('x-request-id', ...more),
  content: { 'application/problem+json': { schema: schema('problem') } },
})
const REFUSED_BODY = { 413: refused('The body is too large'), 415: refused('The body is not JSON') }
const REFUSED = {
  400: refused('Not as the schema says; `errors` names the place'),
  401: refused('No key, an unknown or a revoked one'),
  429: refused('Over the rate limit of the key', [
    'retry-after',
    'ratelimit-limit',
    'ratelimit-remaining',
    'ratelimit-reset',
  ]),
  502: refused('ai-engine cannot be reached or failed'),
  503: refused('The database or ai-engine is not ready', ['retry-after']),
  504: refused('ai-engine did not answer in time'),
}

const body = (name) => ({ required: true, content: { 'application/json': { schema: schema(name) } } })
const open = (operationId, summary, responses) => ({
  tags: ['operations'],
  operationId,
  summary,
  security: [],
  responses,
})
const secured = (tag, operationId, summary, { responses, ...rest }) => ({
  tags: [tag],
  operationId,
  summary,
  ...rest,
  responses: { ...responses, ...REFUSED },
})

const parameters = ({ properties, required }, place) =>
  Object.entries(properties).map(([name, { description, ...rest }]) => ({
    name,
    in: place,
    description,
    required: required.includes(name),
    schema: rest,
  }))

/** A shared schema as a component: without its own identity, its references pointing into this document. */
function component(value) {
  if (Array.isArray(value)) return value.map(component)
  if (value === null || typeof value !== 'object') return value
  const { $schema: _schema, $id: _id, ...rest } = value
  return Object.fromEntries(
    Object.entries(rest).map(([name, inner]) => [
      name,
      name === '$ref' ? inner.replace(ID, '#/components/schemas/') : component(inner),
    ]),
  )
}
