import assert from 'node:assert/strict'
import { test } from 'node:test'
import { apiKey, ask, call, databaseUrl, engine, gateway } from './support.js'

for (const [name, base] of [
  ['api-gateway', gateway],
  ['ai-engine', engine],
]) {
  test(`${name}: live, ready and measured`, async () => {
    const health = await call('/healthz', { base, key: null })
    assert.equal(health.status, 200)
    assert.deepEqual([health.json.status, health.json.service], ['ok', name])
    assert.ok(health.json.version)

    const ready = await call('/readyz', { base, key: null })
    assert.equal(ready.status, 200, ready.text)
    assert.equal(ready.json.status, 'ready')
    const names = ready.json.checks.map((check) => check.name)
    assert.ok(names.includes('database') && names.includes('migrations'), names.join())
    assert.ok(ready.json.checks.every(({ ok }) => ok === true))

    const { text, headers } = await call('/metrics', { base, key: null })
    assert.match(headers.get('content-type'), /^text\/plain/)
    assert.match(text, new RegExp(`^http_requests_total\\{[^}]*service="${name}"`, 'm'))
    assert.match(text, /^http_request_duration_seconds_bucket\{/m)
    assert.match(text, /^db_pool_connections\{/m)
  })

  test(`${name}: a request id passes through, a malformed one does not`, async () => {
    const id = `integration-${Date.now()}.a_B`
    assert.equal((await call('/healthz', { base, headers: { 'x-request-id': id } })).headers.get('x-request-id'), id)
    const replaced = (await call('/healthz', { base, headers: { 'x-request-id': 'a b' } })).headers.get('x-request-id')
    assert.match(replaced, /^[A-Za-z0-9._-]{1,128}$/)
  })

  test(`${name}: what is nowhere is a problem`, async () => {
    const { status, headers, json } = await call('/nowhere', { base })
    assert.equal(status, 404)
    assert.match(headers.get('content-type'), /^application\/problem\+json/)
    assert.equal(json.request_id, headers.get('x-request-id'))
  })
}

test('a request id of the caller reaches the engine and comes back in its problems', async () => {
  const id = `integration-${Date.now()}`
  const { status, json, headers } = await call('/v1/documents/9007199254740991', { headers: { 'x-request-id': id } })
  assert.equal(status, 404)
  assert.deepEqual([json.request_id, headers.get('x-request-id')], [id, id])
})

test('state of the system: open to everyone, everything live and ready', async () => {
  const { status, json } = await call('/v1/status', { key: null })
  assert.equal(status, 200)
  assert.deepEqual(json.services.map(({ name }) => name).sort(), ['ai-engine', 'api-gateway', 'database'])
  for (const { name, live, ready, detail } of json.services) assert.ok(live && ready, `${name}: ${detail}`)
  assert.ok(json.version && json.environment)
})

test('the API description: OpenAPI 3.1, and every reference resolves', async () => {
  const { status, json } = await call('/openapi.json', { key: null })
  assert.equal(status, 200)
  assert.match(json.openapi, /^3\.1\./)
  assert.ok(json.info.title && json.info.version)
  for (const path of ['/v1/answers', '/v1/documents', '/v1/documents/{id}', '/v1/status'])
    assert.ok(json.paths[path], path)
  for (const item of Object.values(json.paths)) {
    for (const [method, operation] of Object.entries(item)) {
      if (method !== 'parameters')
        assert.ok(operation.operationId && Object.keys(operation.responses).length > 0, method)
    }
  }
  for (const [, reference] of JSON.stringify(json).matchAll(/"\$ref":"([^"]+)"/g)) {
    const target = reference
      .replace(/^#\//, '')
      .split('/')
      .reduce((value, name) => value?.[name], json)
    assert.ok(target, reference)
  }
  assert.deepEqual(Object.keys(json.components.securitySchemes), ['apiKey'])
})

test('the page is served with a policy that lets no foreign script run', async () => {
  const { status, headers, text } = await call('/', { key: null })
  assert.equal(status, 200)
  assert.match(text, /<title>vital-ops<\/title>/)
  assert.match(headers.get('content-security-policy'), /default-src 'none'/)
  assert.doesNotMatch(headers.get('content-security-policy'), /unsafe/)
})

test('no answer gives a secret away', async () => {
  const found = []
  for (const base of [gateway, engine]) {
    for (const path of ['/healthz', '/readyz', '/metrics', '/v1/status', '/openapi.json', '/', '/nowhere']) {
      found.push(await call(path, { base }))
    }
  }
  found.push(await ask('rollback'), await ask('x', { key: `${apiKey}x` }), await ask(''), await call('/v1/documents'))
  const password = databaseUrl ? new URL(databaseUrl).password : ''
  const secrets = [apiKey, databaseUrl, password.length >= 8 && password].filter(Boolean)
  for (const { text, headers } of found) {
    const all = text + JSON.stringify([...headers])
    for (const secret of secrets) assert.ok(!all.includes(secret))
    assert.doesNotMatch(all, /postgres(ql)?:\/\/|Traceback|node_modules/)
  }
})
