// Start and shutdown. What the gateway does is in app.js.
import { createLogger } from '@vital-ops/shared-kernel'
import { buildApp } from './app.js'
import { createPool } from './database.js'
import { readSettings } from './settings.js'

const CANNOT_START = 1
const MISCONFIGURED = 2

function settingsOrExit() {
  try {
    return readSettings()
  } catch (error) {
    if (error.name !== 'ConfigurationError') throw error
    const { SERVICE_NAME: service = 'api-gateway', SERVICE_VERSION: version, ENVIRONMENT: environment } = process.env
    createLogger({ service, environment, version }).fatal(error.message)
    process.exit(MISCONFIGURED)
  }
}

const settings = settingsOrExit()
const { service, environment, version, logLevel: level } = settings
const log = createLogger({ service, environment, version, level })
const pool = createPool(settings, log)
const app = buildApp({ settings, log, pool })

for (const event of ['uncaughtException', 'unhandledRejection']) {
  process.on(event, (error) => {
    log.fatal('stopped by an error nobody handled', { err: error })
    process.exit(CANNOT_START)
  })
}
process.stdout.on('error', () => {}) // whoever read the log is gone; the service goes on

let stopping = false
async function stop(signal) {
  if (stopping) process.exit(CANNOT_START) // asked twice: at once
  stopping = true
  log.info('shutting down', { signal })
  const deadline = setTimeout(() => {
    log.warn('requests still running at the end of the shutdown time are cut off')
    app.server.closeAllConnections()
  }, settings.shutdown_seconds * 1000)
  app.beginShutdown()
  await app.close()
  clearTimeout(deadline)
  await Promise.race([pool.end(), new Promise((resolve) => setTimeout(resolve, 1000))])
  log.info('stopped')
  process.exit(0)
}
process.on('SIGTERM', stop)
process.on('SIGINT', stop)

try {
  await app.listen({ host: settings.host, port: settings.port })
  log.info('listening', { host: settings.host, port: app.server.address().port })
} catch (error) {
  const reason = error.code === 'EADDRINUSE' ? 'the port is in use; stop what holds it or set PORT' : error.message
  log.fatal(`cannot listen on ${settings.host}:${settings.port}: ${reason}`)
  process.exit(CANNOT_START)
}
