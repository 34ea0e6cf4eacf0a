// Everything the gateway reads from its environment, once, at start.
import { Configuration, ConfigurationError, migrationVersions } from '@vital-ops/shared-kernel'

const SETTINGS = {
  rate_limit_per_minute: { default: 120, min: 1, max: 1_000_000 },
  key_cache_seconds: { default: 10, min: 0, max: 3600 },
  upstream_timeout_ms: { default: 5000, min: 1, max: 120_000 },
  upstream_attempts: { default: 3, min: 1, max: 10 },
  database_pool_size: { default: 5, min: 1, max: 100 },
  body_limit_bytes: { default: 2_621_440, min: 1024, max: 104_857_600 },
  shutdown_seconds: { default: 10, min: 0, max: 600 },
}

export function readSettings(environment = process.env) {
  const configuration = new Configuration(environment)
  const level = { default: 'info', oneOf: ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] }
  return {
    service: configuration.string('SERVICE_NAME', { default: 'api-gateway' }),
    version: configuration.string('SERVICE_VERSION', { default: 'unversioned' }),
    environment: configuration.string('ENVIRONMENT', { default: 'dev' }),
    logLevel: configuration.string('LOG_LEVEL', level),
    host: configuration.string('HOST', { default: '127.0.0.1' }),
    port: configuration.integer('PORT', { default: 8080, min: 0, max: 65_535 }),
    databaseUrl: configuration.url('DATABASE_URL', { protocols: ['postgres:', 'postgresql:'] }),
    aiEngineUrl: configuration.url('AI_ENGINE_URL'),
    migrations: readMigrations(configuration.string('MIGRATIONS_DIR', { default: '' })),
    ...configuration.settings(SETTINGS),
  }
}

/** The versions this release was built with; null where nobody said (then readiness does not judge them). */
function readMigrations(folder) {
  if (!folder) return null
  try {
    return migrationVersions(folder)
  } catch (error) {
    throw new ConfigurationError(`\`MIGRATIONS_DIR\` names a folder that cannot be read (${error.code})`)
  }
}
