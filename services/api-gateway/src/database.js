import pg from 'pg'

/** Connections on demand: a database that is down delays nothing at start, and its errors end no process. */
export function createPool({ databaseUrl, database_pool_size: max, service }, log) {
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max,
    application_name: service,
    connectionTimeoutMillis: 2000,
    query_timeout: 3000,
    statement_timeout: 3000,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
  })
  pool.on('error', (error) => log.warn('an idle database connection was lost', { reason: databaseReason(error) }))
  return pool
}

/** Why the database did not answer, in words without addresses, names or passwords. */
export function databaseReason(error) {
  const reasons = {
    ECONNREFUSED: 'connection refused',
    ENOENT: 'its socket is not there',
    ENOTFOUND: 'its host is not known',
    ECONNRESET: 'connection lost',
    ETIMEDOUT: 'no answer in time',
    '28P01': 'the password was refused',
    28000: 'the role was refused',
    '3D000': 'there is no such database',
    '3F000': 'the schema is not there',
    '42P01': 'a table or view is not there',
    42501: 'permission denied',
    53300: 'too many connections',
    '57P01': 'the server is shutting down',
    '57P03': 'the server is starting up',
    57014: 'no answer in time',
  }
  if (/timeout/i.test(error.message ?? '')) return 'no answer in time'
  if (/terminated/i.test(error.message ?? '')) return 'connection lost'
  return reasons[error.code] ?? (error.code ? `error ${error.code}` : 'not reachable')
}
