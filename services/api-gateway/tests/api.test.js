import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KEY, SETTINGS, sha256, standInPool, startGateway, startUpstream } from './support.js'

const ANSWERS = { question: 'why?', answers: [] }

test('passes a question on with its request id, and the answer back', async (t) => {
  const upstream = await startUpstream(t, () => ({ json: ANSWERS }))
  const { ask, lines } = await startGateway(t, upstream)
  const { status, headers, json } = await ask('why?', { headers: { 'x-request-id': 'r-1' } })
  assert.equal(status, 200)
  assert.deepEqual(json, ANSWERS)
  assert.equal(headers.get('x-request-id'), 'r-1')
  assert.equal(headers.get('cache-control'), 'no-store')
  const [{ method, url, headers: passed, body }] = upstream.requests
  assert.deepEqual([method, url, body], ['POST', '/v1/answers', { question: 'why?', limit: 3 }])
  assert.equal(passed['x-request-id'], 'r-1')
  assert.equal(passed.authorization, undefined, 'the key stays here')
  const line = lines.find(({ message }) => message === 'request')
  assert.deepEqual([line.request_id, line.route, line.status, line.client], ['r-1', '/v1/answers', 200, 'tests'])
})

test('a request id that is not well formed is replaced', async (t) => {
  const { send } = await startGateway(t)
  const { headers } = await send('/healthz', { headers: { 'x-request-id': 'a b' } })
  assert.match(headers.get('x-request-id'), /^[0-9a-f-]{36}$/)
})

test('documents: store, list, read, delete', async (t) => {
  const upstream = await startUpstream(
    t,
    ({ method }) => ({ POST: { status: 201, json: { id: 7 } }, DELETE: { status: 204 } })[method] ?? { json: {} },
  )
  const { send } = await startGateway(t, upstream)
  const body = { source: 's', title: 't', body: 'b' }
  assert.equal((await send('/v1/documents', { method: 'POST', body })).status, 201)
  assert.equal((await send('/v1/documents?after=3')).status, 200)
  assert.equal((await send('/v1/documents/7')).status, 200)
  const gone = await send('/v1/documents/7', { method: 'DELETE' })
  assert.deepEqual([gone.status, gone.text], [204, ''])
  assert.deepEqual(
    upstream.requests.map(({ method, url }) => `${method} ${url}`),
    ['POST /v1/documents', 'GET /v1/documents?after=3&limit=50', 'GET /v1/documents/7', 'DELETE /v1/documents/7'],
  )
})

test('no key, a wrong key and another scheme are refused alike', async (t) => {
  const { ask, send } = await startGateway(t)
  const bare = await ask('why?', { key: null })
  assert.equal(bare.status, 401)
  assert.equal(bare.headers.get('www-authenticate'), 'Bearer realm="vital-ops"')
  assert.match(bare.headers.get('content-type'), /^application\/problem\+json/)
  assert.equal(bare.json.request_id, bare.headers.get('x-request-id'))
  const wrong = await ask('why?', { key: 'nobody' })
  assert.equal(wrong.status, 401)
  assert.match(wrong.headers.get('www-authenticate'), /error="invalid_token"/)
  assert.equal((await send('/v1/documents', { key: null, headers: { authorization: `Basic ${KEY}` } })).status, 401)
  assert.equal((await ask('', { key: null })).status, 401, 'who may ask comes before what is asked')
})

test('keys that cannot be looked up: 503, and the key is in no line', async (t) => {
  const pool = standInPool()
  pool.failure = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
  const { ask, lines } = await startGateway(t, { pool })
  const { status, headers } = await ask()
  assert.equal(status, 503)
  assert.equal(headers.get('retry-after'), '2')
  assert.ok(!JSON.stringify(lines).includes(KEY))
})

const INVALID = [
  ['an empty question', { question: '' }, '/question', /fewer than 1/],
  ['a blank question', { question: '  ' }, '/question', /must not be blank/],
  ['no question', {}, '/question', /is missing/],
  ['an unknown member', { question: 'x', surplus: 1 }, '/surplus', /is not known/],
  ['a limit that is text', { question: 'x', limit: '3' }, '/limit', /must be integer/],
  ['a NUL character', { question: 'a\u0000' }, '/question', /NUL/],
  ['a list', [], '', /must be object/],
  ['null', 'null', '', /must be object/],
]
for (const [what, body, pointer, detail] of INVALID) {
  test(`validation: ${what} is a 400 that names the place`, async (t) => {
    const upstream = await startUpstream(t, () => ({ json: ANSWERS }))
    const { send } = await startGateway(t, upstream)
    const { status, json } = await send('/v1/answers', { method: 'POST', body })
    assert.equal(status, 400)
    assert.equal(json.type, 'urn:vital-ops:problem:validation')
    assert.equal(json.errors[0].pointer, pointer)
    assert.match(json.detail, detail)
    assert.equal(upstream.requests.length, 0)
  })
}

test('parameters are read as numbers, and refused when they are none', async (t) => {
  const upstream = await startUpstream(t, () => ({ json: {} }))
  const { send } = await startGateway(t, upstream)
  assert.equal((await send('/v1/documents?limit=100')).status, 200)
  for (const path of [
    '/v1/documents?limit=101',
    '/v1/documents?limit=',
    '/v1/documents?page=2',
    '/v1/documents/x',
    '/v1/documents/0',
  ]) {
    assert.equal((await send(path)).status, 400, path)
  }
  assert.match((await send('/v1/documents/x')).json.detail, /^path\/id/)
})

test('what is no JSON, too large, of another type or nowhere is a problem too', async (t) => {
  const { send } = await startGateway(t)
  const post = (body, headers) => send('/v1/answers', { method: 'POST', body, headers })
  const found = [
    await post('{'),
    await post(JSON.stringify({ question: 'x'.repeat(70_000) })),
    await post('<x/>', { 'content-type': 'text/xml' }),
    await post('question', { 'content-type': 'text/plain' }),
    await send('/v1/nowhere'),
    await send('/%zz'),
    await send('/v1/answers', { method: 'PUT', body: {} }),
  ]
  assert.deepEqual(
    found.map(({ status }) => status),
    [400, 413, 415, 415, 404, 400, 404],
  )
  for (const { json, headers, status } of found) {
    assert.equal(json.status, status)
    assert.equal(json.request_id, headers.get('x-request-id'))
  }
})

test('the largest document passes, however it is escaped', async (t) => {
  const upstream = await startUpstream(t, () => ({ status: 201, json: {} }))
  const { send } = await startGateway(t, upstream)
  const escaped = '\\ud83d\\udea8'.repeat(200_000)
  const { status } = await send('/v1/documents', {
    method: 'POST',
    body: `{"source":"s","title":"t","body":"${escaped}"}`,
  })
  assert.equal(status, 201)
})

test('rate limit: headers on every answer, 429 with the time to wait, and it refills', async (t) => {
  const upstream = await startUpstream(t, () => ({ json: ANSWERS }))
  let time = 1_000_000
  const { ask } = await startGateway(t, { ...upstream, settings: { rate_limit_per_minute: 2 }, now: () => time })
  const first = await ask()
  assert.deepEqual(
    ['limit', 'remaining', 'reset'].map((name) => first.headers.get(`ratelimit-${name}`)),
    ['2', '1', '30'],
  )
  await ask()
  const refused = await ask()
  assert.equal(refused.status, 429)
  assert.equal(refused.headers.get('retry-after'), '30')
  assert.equal(refused.headers.get('ratelimit-remaining'), '0')
  time += 30_000
  assert.equal((await ask()).status, 200)
  assert.equal((await ask()).status, 429)
})

test("rate limit: a key's own limit goes before the setting, and keys do not share", async (t) => {
  const upstream = await startUpstream(t, () => ({ json: ANSWERS }))
  const pool = standInPool({
    keys: {
      [sha256('small')]: { id: 1, name: 'small', rate_limit_per_minute: 1 },
      [sha256('other')]: { id: 2, name: 'other', rate_limit_per_minute: null },
    },
  })
  const { ask } = await startGateway(t, { ...upstream, pool })
  assert.equal((await ask('?', { key: 'small' })).headers.get('ratelimit-limit'), '1')
  assert.equal((await ask('?', { key: 'small' })).status, 429)
  assert.equal(
    (await ask('?', { key: 'other' })).headers.get('ratelimit-limit'),
    String(SETTINGS.rate_limit_per_minute),
  )
})

test('openapi: every route of the API is described, every reference resolves', async (t) => {
  const { app, send } = await startGateway(t)
  const { json } = await send('/openapi.json', { key: null })
  assert.equal(json.openapi, '3.1.0')
  assert.equal(json.components.securitySchemes.apiKey.scheme, 'bearer')
  for (const [, reference] of JSON.stringify(json).matchAll(/"\$ref":"([^"]+)"/g)) {
    const target = reference
      .slice(2)
      .split('/')
      .reduce((value, name) => value?.[name], json)
    assert.ok(reference.startsWith('#/components/') && target, reference)
  }
  for (const [path, item] of Object.entries(json.paths)) {
    for (const method of Object.keys(item).filter((name) => name !== 'parameters')) {
      assert.ok(app.hasRoute({ method: method.toUpperCase(), url: path.replace('{id}', ':id') }), `${method} ${path}`)
    }
  }
  assert.doesNotMatch(JSON.stringify(json), /urn:vital-ops:schema/)
})

test('the page: its files, a policy without inline script, and nothing sent twice', async (t) => {
  const { send } = await startGateway(t)
  const page = await send('/', { key: null })
  assert.match(page.headers.get('content-security-policy'), /default-src 'none'; script-src 'self';/)
  assert.doesNotMatch(page.text, /<script(?![^>]* src=)|\sstyle=|\son[a-z]+=/)
  for (const [, path] of page.text.matchAll(/(?:src|href)="(\/[^"#]*)"/g)) {
    assert.equal((await send(path, { key: null })).status, 200, path)
  }
  const again = await send('/', { key: null, headers: { 'if-none-match': page.headers.get('etag') } })
  assert.equal(again.status, 304)
})

test('metrics: requests by route, never by path, and the state of the pool', async (t) => {
  const { send } = await startGateway(t)
  await send('/v1/nowhere/secret')
  await send('/healthz')
  const { text, headers } = await send('/metrics')
  assert.match(headers.get('content-type'), /^text\/plain/)
  assert.match(text, /http_requests_total\{service="api-gateway",method="GET",route="\/healthz",status="200"\} 1/)
  assert.match(text, /route="unmatched",status="404"\} 1/)
  assert.match(
    text,
    /http_request_duration_seconds_bucket\{le="0.005",service="api-gateway",method="GET",route="\/healthz"\}/,
  )
  assert.match(text, /db_pool_max_connections\{service="api-gateway"\} 2/)
  assert.match(text, /process_cpu_seconds_total/)
  assert.doesNotMatch(text, /nowhere/)
})
