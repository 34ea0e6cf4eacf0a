import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import pg from 'pg'
import { createPool } from '../src/database.js'
import { bearer, createKeys } from '../src/keys.js'
import { createReadiness } from '../src/readiness.js'
import { SETTINGS, sha256, standInPool } from './support.js'

const url = process.env.TEST_DATABASE_URL
const needsDatabase = { skip: url ? false : 'TEST_DATABASE_URL is not set' }
const mark = randomBytes(6).toString('hex')
const settings = { ...SETTINGS, service: `gateway-${mark}`, databaseUrl: url }
const lines = []
const log = { warn: (message) => lines.push(message), info: () => {} }
let admin
let pool

// The tables as the migrations make them, where they are not there yet.
const TABLES = `
  create schema if not exists app;
  create schema if not exists ops;
  create table if not exists app.api_key (
    id bigint generated always as identity primary key,
    name text not null unique,
    sha256 text not null unique,
    created_at timestamptz not null default now(),
    revoked_at timestamptz,
    rate_limit_per_minute integer
  );
  do $$ begin
    if to_regclass('ops.applied_migration') is null then
      create view ops.applied_migration as select '1'::text as version;
    end if;
  end $$;`

before(async () => {
  if (!url) return
  admin = new pg.Client({ connectionString: url })
  await admin.connect()
  await admin.query('select pg_advisory_lock(7312001)')
  const { rows } = await admin.query(
    `select to_regclass('app.api_key') is null or to_regclass('ops.applied_migration') is null as is_bare`,
  )
  if (rows[0].is_bare) await admin.query(TABLES)
  await admin.query('select pg_advisory_unlock(7312001)')
  pool = createPool(settings, log)
})
after(async () => {
  if (!url) return
  await admin.query('delete from app.api_key where name like $1', [`${mark}%`])
  await admin.end()
  await pool.end()
})

const add = (name, key, limit = null) =>
  admin.query('insert into app.api_key (name, sha256, rate_limit_per_minute) values ($1, $2, $3)', [
    `${mark}-${name}`,
    sha256(key),
    limit,
  ])

test('keys in PostgreSQL: known, with its own limit, unknown, revoked', needsDatabase, async () => {
  await add('plain', `${mark}-plain`)
  await add('small', `${mark}-small`, 5)
  await add('revoked', `${mark}-revoked`)
  await admin.query('update app.api_key set revoked_at = now() where name = $1', [`${mark}-revoked`])
  const keys = createKeys({ pool, settings })
  const plain = await keys.find(`${mark}-plain`)
  assert.deepEqual([plain.name, plain.limit], [`${mark}-plain`, settings.rate_limit_per_minute])
  assert.equal((await keys.find(`${mark}-small`)).limit, 5)
  assert.equal(await keys.find(`${mark}-revoked`), null)
  assert.equal(await keys.find(`${mark}-nobody`), null)
})

test('keys in PostgreSQL: a revoked key stops working when the cache has expired', needsDatabase, async () => {
  await add('later', `${mark}-later`)
  let time = 0
  const keys = createKeys({ pool, settings, now: () => time })
  assert.ok(await keys.find(`${mark}-later`))
  await admin.query('update app.api_key set revoked_at = now() where name = $1', [`${mark}-later`])
  time = 9_999
  assert.ok(await keys.find(`${mark}-later`), 'remembered')
  time = 10_000
  assert.equal(await keys.find(`${mark}-later`), null)
})

test('a connection the server ends is logged, and the pool goes on', needsDatabase, async () => {
  await pool.query('select 1')
  await admin.query(
    'select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1 and pid <> pg_backend_pid()',
    [settings.service],
  )
  await new Promise((resolve) => setTimeout(resolve, 100))
  assert.ok(lines.includes('an idle database connection was lost'))
  assert.equal((await pool.query('select 2 as n')).rows[0].n, 2)
})

test('readiness reads ops.applied_migration', needsDatabase, async () => {
  const upstream = { name: 'ai-engine', send: async () => ({ status: 200, text: '' }) }
  const check = async (migrations) => {
    const { checks } = await createReadiness({ settings: { ...settings, migrations }, pool, upstream, log }).readiness()
    return checks.find(({ name }) => name === 'migrations')
  }
  assert.equal((await check([])).ok, true)
  assert.deepEqual(await check(['999999999']), { name: 'migrations', ok: false, detail: 'not applied: 999999999' })
})

test('the same key at the same time asks the database once; bad keys are remembered too', async () => {
  const stand = standInPool({ keys: {} })
  const keys = createKeys({ pool: stand, settings: SETTINGS })
  await Promise.all([keys.find('a'), keys.find('a'), keys.find('b')])
  await keys.find('a')
  assert.equal(stand.asked.length, 2)
})

test('a failed lookup is not remembered', async () => {
  const stand = standInPool()
  const keys = createKeys({ pool: stand, settings: SETTINGS })
  stand.failure = new Error('down')
  await assert.rejects(keys.find('a'))
  stand.failure = null
  assert.equal(await keys.find('a'), null)
})

test('the key of the header', () => {
  assert.equal(bearer('Bearer abc'), 'abc')
  assert.equal(bearer('bearer   abc'), 'abc')
  for (const header of [
    undefined,
    '',
    'Bearer',
    'Bearer ',
    'Bearer a b',
    'Basic abc',
    `Bearer ${'x'.repeat(513)}`,
    'Bearer ä',
  ])
    assert.equal(bearer(header), null)
})
