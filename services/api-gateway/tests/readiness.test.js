import assert from 'node:assert/strict'
import { test } from 'node:test'
import { standInPool, startGateway, startUpstream } from './support.js'

const failed = ({ json }) => json.checks.filter(({ ok }) => !ok).map(({ name, detail }) => `${name}: ${detail}`)

test('ready when the database, its migrations and the engine are', async (t) => {
  const upstream = await startUpstream(t, () => ({ json: { status: 'ready', checks: [] } }))
  const { send } = await startGateway(t, { ...upstream, pool: standInPool({ applied: ['1', '0002', '0003'] }) })
  const { status, json } = await send('/readyz', { key: null })
  assert.equal(status, 200)
  assert.deepEqual(
    json.checks.map(({ name }) => name),
    ['database', 'migrations', 'ai-engine'],
  )
  const state = await send('/v1/status', { key: null })
  assert.ok(state.json.services.every(({ live, ready }) => live && ready))
})

test('not ready: a migration that is missing', async (t) => {
  const upstream = await startUpstream(t, () => ({ json: {} }))
  const { send } = await startGateway(t, { ...upstream, pool: standInPool({ applied: ['0001'] }) })
  const answer = await send('/readyz')
  assert.equal(answer.status, 503)
  assert.deepEqual(failed(answer), ['migrations: not applied: 0002'])
})

test('not ready: the database is down and the engine says why it waits; live all the same', async (t) => {
  const checks = [{ name: 'database', ok: false, detail: 'connection refused' }]
  const upstream = await startUpstream(t, () => ({ status: 503, json: { status: 'not ready', checks } }))
  const pool = standInPool()
  pool.failure = Object.assign(new Error('password authentication failed for postgres://app:hunter2@db'), {
    code: '28P01',
  })
  const { send, lines } = await startGateway(t, { ...upstream, pool })
  const answer = await send('/readyz')
  assert.equal(answer.status, 503)
  assert.deepEqual(failed(answer), [
    'database: the password was refused',
    'migrations: not known: the database does not answer',
    'ai-engine: database: connection refused',
  ])
  assert.equal((await send('/healthz')).status, 200)
  const { json } = await send('/v1/status')
  assert.deepEqual(
    json.services.map(({ name, live, ready }) => [name, live, ready]),
    [
      ['api-gateway', true, false],
      ['ai-engine', true, false],
      ['database', false, false],
    ],
  )
  assert.doesNotMatch(JSON.stringify([answer.text, json, lines]), /hunter2/)
})

test('many who ask at once cause one look; the next look comes later', async (t) => {
  const upstream = await startUpstream(t, () => ({ json: {}, delay: 30 }))
  let time = 1_000_000
  const { send } = await startGateway(t, { ...upstream, now: () => time })
  await Promise.all(Array.from({ length: 20 }, () => send('/v1/status')))
  assert.equal(upstream.requests.length, 1)
  time += 501
  await send('/v1/status')
  assert.equal(upstream.requests.length, 2)
})

test('while shutting down: not ready, yet still serving', async (t) => {
  const upstream = await startUpstream(t, () => ({ json: { answers: [] } }))
  const { app, ask, send } = await startGateway(t, upstream)
  app.beginShutdown()
  const answer = await send('/readyz')
  assert.equal(answer.status, 503)
  assert.deepEqual(failed(answer), ['shutdown: shutting down'])
  assert.equal((await ask()).status, 200)
})
