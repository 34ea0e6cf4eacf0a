import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Configuration, ConfigurationError } from '@vital-ops/shared-kernel'

const folder = mkdtempSync(join(tmpdir(), 'configuration-'))
after(() => rmSync(folder, { recursive: true }))

const from = (environment) => new Configuration(environment)
const fails = (read, pattern) =>
  assert.throws(read, (error) => error instanceof ConfigurationError && pattern.test(error.message))

test('reads each kind', () => {
  const configuration = from({ A: 'text', B: '42', C: 'yes', D: '1.5s', E: 'postgres://app:pw@db/x?host=%2Ftmp%2Fa' })
  assert.equal(configuration.string('A'), 'text')
  assert.equal(configuration.integer('B'), 42)
  assert.equal(configuration.boolean('C'), true)
  assert.equal(configuration.duration('D'), 1500)
  assert.equal(
    configuration.url('E', { protocols: ['postgres:', 'postgresql:'] }),
    'postgres://app:pw@db/x?host=%2Ftmp%2Fa',
  )
})

test('a key that is not set, or empty, takes the default or is an error with the remedy', () => {
  assert.equal(from({}).integer('PORT', { default: 8080 }), 8080)
  assert.equal(from({ PORT: '' }).integer('PORT', { default: 8080 }), 8080)
  fails(() => from({}).string('DATABASE_URL'), /^`DATABASE_URL` is not set; set DATABASE_URL, or DATABASE_URL_FILE/)
})

test('KEY_FILE wins over KEY and loses one line end', () => {
  const file = join(folder, 'secret')
  writeFileSync(file, 'from-file\n\n')
  assert.equal(from({ KEY: 'from-environment', KEY_FILE: file }).string('KEY'), 'from-file\n')
  fails(() => from({ KEY: 'x', KEY_FILE: join(folder, 'gone') }).string('KEY'), /`KEY_FILE` names a file .*ENOENT/)
})

test('an error names the key and never the value', () => {
  const value = 'hunter2://secret'
  const configuration = from({ K: value, SERVICE_SETTINGS: value })
  const reads = [
    () => configuration.integer('K', { min: 1, max: 9 }),
    () => configuration.boolean('K'),
    () => configuration.duration('K'),
    () => configuration.url('K'),
    () => configuration.string('K', { oneOf: ['a', 'b'] }),
    () => configuration.settings({}),
  ]
  for (const read of reads) {
    assert.throws(read, (error) => /`(K|SERVICE_SETTINGS)`/.test(error.message) && !error.message.includes('hunter2'))
  }
})

test('settings: defaults, types, ranges and unknown names', () => {
  const known = { limit: { default: 120, min: 1, max: 1000 }, strict: { default: true }, name: { default: 'x' } }
  const settings = (value) => from({ SERVICE_SETTINGS: JSON.stringify(value) }).settings(known)
  assert.deepEqual(from({}).settings(known), { limit: 120, strict: true, name: 'x' })
  assert.deepEqual(settings({ limit: 5, strict: false }), { limit: 5, strict: false, name: 'x' })
  fails(() => settings({ limit: 0 }), /setting `limit` must be a number from 1 to 1000/)
  fails(() => settings({ limit: '5' }), /setting `limit` must be a number/)
  fails(() => settings({ limits: 5 }), /setting `limits` is not known; known are limit, name, strict/)
  fails(() => settings([]), /must be one JSON object/)
})
