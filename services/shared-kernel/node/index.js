// The Node library of shared-kernel: what a service needs before it does anything of its own.
export { Configuration, ConfigurationError } from './configuration.js'
export { createLogger, redact } from './logger.js'
export { createMetrics, metricDefinitions } from './metrics.js'
export { migrationVersions, missingVersions } from './migrations.js'
export { PROBLEM_TYPE, problem } from './problem.js'
export { requestId } from './request-id.js'
export { loadSchemas, schemaId } from './schemas.js'
