import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  createMetrics,
  metricDefinitions,
  migrationVersions,
  missingVersions,
  problem,
  requestId,
} from '@vital-ops/shared-kernel'

test('a well-formed request id is kept, any other replaced', () => {
  assert.equal(requestId('a.B_c-1'), 'a.B_c-1')
  for (const bad of [undefined, '', 'a b', 'a\n', 'x'.repeat(129), ['a']])
    assert.match(requestId(bad), /^[0-9a-f-]{36}$/)
})

test('a problem has a title of its status and keeps its form', () => {
  assert.deepEqual(problem({ status: 429, detail: 'slow down', requestId: 'r' }), {
    type: 'about:blank',
    title: 'Too Many Requests',
    status: 429,
    detail: 'slow down',
    request_id: 'r',
  })
})

test('metrics.json: names, types and labels are as Prometheus wants them', () => {
  for (const [name, { type, help, labels, buckets }] of Object.entries(metricDefinitions)) {
    assert.match(name, /^[a-z][a-z0-9_]*$/)
    assert.ok(['counter', 'gauge', 'histogram'].includes(type) && help && labels.includes('service'), name)
    assert.equal(type === 'counter', name.endsWith('_total'), name)
    assert.equal(type === 'histogram', Array.isArray(buckets), name)
    if (buckets)
      assert.deepEqual(
        buckets,
        [...buckets].sort((a, b) => a - b),
        name,
      )
  }
  assert.throws(() => createMetrics({}, {}, ['unheard_of']), /`unheard_of` is not in metrics\.json/)
})

test('migrations: versions of pending and applied, without down files and repeatable ones', () => {
  const folder = mkdtempSync(join(tmpdir(), 'migrations-'))
  try {
    assert.deepEqual(migrationVersions(folder), [])
    for (const sub of ['pending', 'applied', 'repeatable']) mkdirSync(join(folder, sub))
    for (const file of [
      'applied/0001_first.sql',
      'applied/0001_first.down.sql',
      'applied/checksums',
      'pending/0010_tenth.sql',
      'pending/0002_second.sql',
      'repeatable/0099_view.sql',
      'pending/README.md',
    ]) {
      writeFileSync(join(folder, file), '')
    }
    assert.deepEqual(migrationVersions(folder), ['0001', '0002', '0010'])
    assert.deepEqual(missingVersions(['0001', '0002', '0010'], ['1', '0010', '11']), ['0002'])
  } finally {
    rmSync(folder, { recursive: true })
  }
})
