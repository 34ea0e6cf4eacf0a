// The gateway as a process: how it starts, what it says when it cannot, and how it stops.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createServer } from 'node:http'
import { once } from 'node:events'
import { test } from 'node:test'
import { readSettings } from '../src/settings.js'
import { startUpstream } from './support.js'

const SERVER = new URL('../src/server.js', import.meta.url).pathname
const DEAD_DATABASE = 'postgres://app:hunter2@127.0.0.1:9/none'

function start(t, environment) {
  const child = spawn(process.execPath, [SERVER], { env: { PATH: process.env.PATH, PORT: '0', ...environment } })
  t.after(() => child.kill('SIGKILL'))
  const lines = []
  let text = ''
  const waiting = []
  child.stdout.on('data', (data) => {
    text += data
    for (let end; (end = text.indexOf('\n')) >= 0; text = text.slice(end + 1))
      lines.push(JSON.parse(text.slice(0, end)))
    for (const wake of waiting.splice(0)) wake()
  })
  const exited = once(child, 'exit').then(([code, signal]) => {
    for (const wake of waiting.splice(0)) wake()
    return code ?? signal
  })
  async function line(message) {
    for (;;) {
      const found = lines.find((candidate) => candidate.message === message)
      if (found) return found
      if (child.exitCode !== null) throw new Error(`ended without \`${message}\`: ${JSON.stringify(lines)}`)
      await new Promise((resolve) => waiting.push(resolve))
    }
  }
  return { child, lines, line, exited }
}

const ENVIRONMENT = { DATABASE_URL: DEAD_DATABASE, AI_ENGINE_URL: 'http://127.0.0.1:9' }

test('starts without its database and its engine, and says what it waits for', async (t) => {
  const { lines, line, child, exited } = start(t, ENVIRONMENT)
  const { port } = await line('listening')
  const ready = await fetch(`http://127.0.0.1:${port}/readyz`)
  assert.equal(ready.status, 503)
  assert.deepEqual(
    (await ready.json()).checks.map(({ ok }) => ok),
    [false, false, false],
  )
  child.kill('SIGINT')
  assert.equal(await exited, 0)
  assert.equal(lines.filter(({ message }) => /listening/i.test(message)).length, 1)
  assert.doesNotMatch(JSON.stringify(lines), /hunter2/)
})

test('misconfigured: one line that names the key and not the value, exit 2', async (t) => {
  const { lines, exited } = start(t, { ...ENVIRONMENT, DATABASE_URL: 'not-a-url-hunter2' })
  assert.equal(await exited, 2)
  assert.equal(lines.length, 1)
  assert.match(lines[0].message, /`DATABASE_URL` must be a URL that begins with postgres/)
  assert.doesNotMatch(JSON.stringify(lines), /hunter2/)
})

const MISCONFIGURED = [
  [{ DATABASE_URL: '' }, /`DATABASE_URL` is not set/],
  [{ AI_ENGINE_URL: '' }, /`AI_ENGINE_URL` is not set/],
  [{ DATABASE_URL_FILE: '/nowhere/secret' }, /`DATABASE_URL_FILE` names a file that cannot be read/],
  [{ PORT: 'http' }, /`PORT` must be a whole number/],
  [{ SERVICE_SETTINGS: '{"rate_limit":1}' }, /setting `rate_limit` is not known/],
  [{ MIGRATIONS_DIR: '/nowhere' }, /`MIGRATIONS_DIR` names a folder that cannot be read/],
]
for (const [environment, message] of MISCONFIGURED) {
  test(`misconfigured: ${message.source}`, () => {
    assert.throws(() => readSettings({ ...ENVIRONMENT, ...environment }), { name: 'ConfigurationError', message })
  })
}

test('a port that is in use is one clear line, exit 1', async (t) => {
  const holder = createServer().listen(0, '127.0.0.1')
  await once(holder, 'listening')
  t.after(() => holder.close())
  const { lines, exited } = start(t, { ...ENVIRONMENT, PORT: String(holder.address().port) })
  assert.equal(await exited, 1)
  assert.equal(lines.length, 1)
  assert.match(lines[0].message, /^cannot listen on 127\.0\.0\.1:\d+: the port is in use/)
})

test(
  'SIGTERM: what runs is finished, new connections are refused, exit 0',
  { skip: process.env.TEST_DATABASE_URL ? false : 'TEST_DATABASE_URL is not set' },
  async (t) => {
    const upstream = await startUpstream(t, ({ url }) => (url === '/readyz' ? { json: {}, delay: 600 } : {}))
    const { child, line, exited } = start(t, {
      ...ENVIRONMENT,
      DATABASE_URL: process.env.TEST_DATABASE_URL,
      AI_ENGINE_URL: upstream.url,
    })
    const { port } = await line('listening')
    const running = fetch(`http://127.0.0.1:${port}/v1/status`)
    while (upstream.requests.length === 0) await new Promise((resolve) => setTimeout(resolve, 10))
    child.kill('SIGTERM')
    await line('shutting down')
    await new Promise((resolve) => setTimeout(resolve, 50))
    await assert.rejects(fetch(`http://127.0.0.1:${port}/healthz`))
    const answer = await running
    assert.equal(answer.status, 200)
    assert.equal((await answer.json()).services.length, 3)
    assert.equal(await exited, 0)
  },
)

test('SIGTERM: what does not finish is cut off at the end of the shutdown time', async (t) => {
  const upstream = await startUpstream(t, () => ({ json: {}, delay: 2500 }))
  const { child, line, exited } = start(t, {
    ...ENVIRONMENT,
    AI_ENGINE_URL: upstream.url,
    SERVICE_SETTINGS: '{"shutdown_seconds":0.2}',
  })
  const { port } = await line('listening')
  const running = fetch(`http://127.0.0.1:${port}/v1/status`)
  const cut = assert.rejects(running)
  while (upstream.requests.length === 0) await new Promise((resolve) => setTimeout(resolve, 10))
  const asked = performance.now()
  child.kill('SIGTERM')
  assert.equal(await exited, 0)
  await cut
  assert.ok(performance.now() - asked < 2000)
})
