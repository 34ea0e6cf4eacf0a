import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLogger, redact } from '@vital-ops/shared-kernel'

function logger(level) {
  const lines = []
  const identity = { service: 'api-gateway', environment: 'dev', version: 'v1' }
  return { lines, log: createLogger({ ...identity, level, write: (line) => lines.push(line) }) }
}

test('one JSON object a line, with the service and the time in UTC', () => {
  const { lines, log } = logger()
  log.info('listening\nhere', { port: 8080 })
  assert.equal(lines.length, 1)
  assert.equal(lines[0].indexOf('\n'), lines[0].length - 1)
  const { time, ...rest } = JSON.parse(lines[0])
  assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  assert.deepEqual(rest, {
    level: 'info',
    service: 'api-gateway',
    environment: 'dev',
    version: 'v1',
    message: 'listening\nhere',
    port: 8080,
  })
})

test("levels, and a child that adds its fields and cannot forge the line's own", () => {
  const { lines, log } = logger('warn')
  const child = log.child({ request_id: 'r-1' })
  child.info('left out')
  child.error({ level: 'info', service: 'forged' }, 'as pino takes it')
  assert.equal(lines.length, 1)
  const line = JSON.parse(lines[0])
  assert.deepEqual(
    [line.level, line.service, line.request_id, line.message],
    ['error', 'api-gateway', 'r-1', 'as pino takes it'],
  )
})

test('errors, big integers and circular values do not break a line', () => {
  const { lines, log } = logger()
  const circular = { shared: { n: 1n } }
  circular.again = circular.shared
  circular.self = circular
  log.error('failed', { err: new TypeError('no'), circular })
  log.error(new Error('alone'))
  const [first, second] = lines.map((line) => JSON.parse(line))
  assert.equal(first.error.name, 'TypeError')
  assert.deepEqual(first.circular, { shared: { n: '1' }, again: { n: '1' }, self: '[circular]' })
  assert.equal(second.message, 'alone')
})

test('a URL loses its user and password wherever it stands', () => {
  const { lines, log } = logger()
  log.warn('cannot reach postgres://app:pa@ss@db:5432/x', { err: new Error('http://u:p@host/') })
  assert.doesNotMatch(lines[0], /pa@ss|app:|u:p@/)
  assert.equal(redact('postgres://app:secret@db/x and mail a@b'), 'postgres://***@db/x and mail a@b')
  assert.equal(redact('http://127.0.0.1:8090/v1?mail=a@b'), 'http://127.0.0.1:8090/v1?mail=a@b')
})
