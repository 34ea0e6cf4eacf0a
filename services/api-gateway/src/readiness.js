// Whether the gateway can do its work: the database answers and has this release's migrations, and ai-engine is
// ready. Callers that come together share one look, and a look is good for half a second.
import { missingVersions } from '@vital-ops/shared-kernel'
import { databaseReason } from './database.js'
import { upstreamReason } from './upstream.js'

const GOOD_FOR_MS = 500
const ENGINE_TIMEOUT_MS = 3000

export function createReadiness({ settings, pool, upstream, log, now = Date.now }) {
  let isShuttingDown = false
  let last = { until: 0 }
  let said

  async function checkDatabase() {
    try {
      await pool.query('select 1')
    } catch (error) {
      const detail = databaseReason(error)
      return [check('database', false, detail), check('migrations', false, 'not known: the database does not answer')]
    }
    return [check('database', true, 'reachable'), await checkMigrations()]
  }

  async function checkMigrations() {
    const { migrations } = settings
    if (migrations === null) return check('migrations', true, 'not judged: MIGRATIONS_DIR is not set')
    try {
      const { rows } = await pool.query('select version from ops.applied_migration')
      const missing = missingVersions(
        migrations,
        rows.map(({ version }) => version),
      )
      if (missing.length === 0) return check('migrations', true, `${migrations.length} of ${migrations.length} applied`)
      const more = missing.length > 3 ? ` and ${missing.length - 3} more` : ''
      return check('migrations', false, `not applied: ${missing.slice(0, 3).join(', ')}${more}`)
    } catch (error) {
      return check('migrations', false, `ops.applied_migration cannot be read: ${databaseReason(error)}`)
    }
  }

  async function checkEngine() {
    try {
      const { status, text } = await upstream.send('/readyz', { id: 'readiness', timeout: ENGINE_TIMEOUT_MS })
      if (status === 200) return { ...check(upstream.name, true, 'ready'), live: true }
      return { ...check(upstream.name, false, failedChecks(text)), live: true }
    } catch (error) {
      return { ...check(upstream.name, false, upstreamReason(error)), live: false }
    }
  }

  async function look() {
    const [database, engine] = await Promise.all([checkDatabase(), checkEngine()])
    const found = [...database, engine]
    logChange(found.filter(({ ok }) => !ok).map(({ name, detail }) => `${name}: ${detail}`))
    return found
  }

  function logChange(failed) {
    const state = failed.join('; ')
    if (state === said) return
    said = state
    if (state) log.warn('not ready', { reasons: failed })
    else log.info('ready')
  }

  function checks() {
    if (last.until <= now()) {
      const promise = look().finally(() => (mine.until = now() + GOOD_FOR_MS))
      const mine = (last = { until: Infinity, promise })
    }
    return last.promise
  }

  return {
    beginShutdown() {
      isShuttingDown = true
    },

    /** As the schema `readiness`. */
    async readiness() {
      if (isShuttingDown) return { status: 'not ready', checks: [check('shutdown', false, 'shutting down')] }
      const found = await checks()
      return {
        status: found.every(({ ok }) => ok) ? 'ready' : 'not ready',
        checks: found.map(({ name, ok, detail }) => check(name, ok, detail)),
      }
    },

    /** As the member `services` of the schema `status`: the gateway, ai-engine and the database. */
    async services() {
      const [database, migrations, engine] = await checks()
      const failed = [database, migrations, engine].filter(({ ok }) => !ok).map(({ name }) => name)
      const isReady = failed.length === 0 && !isShuttingDown
      const detail = isShuttingDown ? 'shutting down' : isReady ? 'ready' : `waits for ${failed.join(', ')}`
      return [
        { name: settings.service, live: true, ready: isReady, detail },
        { name: engine.name, live: engine.live, ready: engine.ok, detail: engine.detail },
        {
          name: 'database',
          live: database.ok,
          ready: database.ok && migrations.ok,
          detail: database.ok ? `migrations: ${migrations.detail}` : database.detail,
        },
      ]
    },
  }
}

const check = (name, ok, detail) => ({ name, ok, detail })

/** What a service says it is not ready for; its texts hold no secrets by contract. */
function failedChecks(text) {
  try {
    const failed = JSON.parse(text).checks.filter(({ ok }) => !ok)
    return failed.map(({ name, detail }) => `${name}: ${detail}`).join('; ') || 'not ready'
  } catch {
    return 'not ready'
  }
}
