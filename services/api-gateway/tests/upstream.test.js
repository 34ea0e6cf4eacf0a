import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startGateway, startUpstream } from './support.js'

const DOCUMENT = { source: 's', title: 't', body: 'b' }

test('a reading request is sent again after 503 and after a lost connection', async (t) => {
  const answers = [{ status: 503 }, { hangUp: true }, { json: { answers: [] } }]
  const upstream = await startUpstream(t, () => answers.shift())
  const { ask } = await startGateway(t, upstream)
  assert.equal((await ask()).status, 200)
  assert.equal(upstream.requests.length, 3)
  assert.equal(new Set(upstream.requests.map(({ headers }) => headers['x-request-id'])).size, 1)
})

test('a writing request is sent once, whatever happens', async (t) => {
  const answers = [{ status: 503 }, { hangUp: true }, { status: 502 }, { hangUp: true }]
  const upstream = await startUpstream(t, () => answers.shift())
  const { send } = await startGateway(t, upstream)
  const post = () => send('/v1/documents', { method: 'POST', body: DOCUMENT })
  const remove = () => send('/v1/documents/1', { method: 'DELETE' })
  assert.deepEqual(
    [(await post()).status, (await post()).status, (await remove()).status, (await remove()).status],
    [503, 502, 502, 502],
  )
  assert.equal(upstream.requests.length, 4)
})

test('retries end with the attempts, and with the budget when everything fails', async (t) => {
  const upstream = await startUpstream(t, () => ({ status: 503 }))
  const { ask, send } = await startGateway(t, upstream)
  const { status, headers, json } = await ask()
  assert.equal(status, 503)
  assert.equal(headers.get('retry-after'), '2')
  assert.equal(json.detail, 'ai-engine is not ready')
  assert.equal(upstream.requests.length, 3)
  for (let n = 0; n < 20; n++) await ask()
  assert.ok(upstream.requests.length <= 21 + 10 + 5, `${upstream.requests.length} requests for 21`)
  assert.match(
    (await send('/metrics')).text,
    /upstream_requests_total\{service="api-gateway",upstream="ai-engine",outcome="retried"\} 1\d/,
  )
})

test('one deadline for all attempts: 504', async (t) => {
  const upstream = await startUpstream(t, () => ({ delay: 2000 }))
  const { ask } = await startGateway(t, { ...upstream, settings: { upstream_timeout_ms: 150 } })
  const start = performance.now()
  const { status, json } = await ask()
  assert.equal(status, 504)
  assert.match(json.detail, /did not answer in time/)
  assert.ok(performance.now() - start < 1000)
  assert.equal(upstream.requests.length, 1)
})

test('an engine that is not there: 502, without its address', async (t) => {
  const { ask } = await startGateway(t)
  const { status, text } = await ask()
  assert.equal(status, 502)
  assert.doesNotMatch(text, /127\.0\.0\.1|ECONN/)
})

test('an engine that fails, or answers no JSON: 502, and its text stays inside', async (t) => {
  const answers = [
    { status: 500, json: { detail: 'inner secret' } },
    { text: '<html>inner secret', type: 'text/html' },
  ]
  const upstream = await startUpstream(t, () => answers.shift())
  const { ask } = await startGateway(t, upstream)
  for (const { status, text } of [await ask(), await ask()]) {
    assert.equal(status, 502)
    assert.doesNotMatch(text, /inner secret/)
  }
})

test('a problem of the engine reaches the caller', async (t) => {
  const problem = {
    type: 'about:blank',
    title: 'Not Found',
    status: 404,
    detail: 'there is no document 9',
    request_id: 'r',
  }
  const upstream = await startUpstream(t, () => ({ status: 404, json: problem, type: 'application/problem+json' }))
  const { send } = await startGateway(t, upstream)
  const { status, json, headers } = await send('/v1/documents/9')
  assert.equal(status, 404)
  assert.deepEqual(json, problem)
  assert.match(headers.get('content-type'), /^application\/problem\+json/)
})
