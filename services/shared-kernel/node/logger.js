// Structured logs: one JSON object a line on stdout. A logger also fits where pino's is expected
// (`log.info(fields, message)`), so a web framework can write through it.
const LEVELS = { trace: 10, debug: 20, info: 30, warn: 40, error: 50, fatal: 60, silent: 100 }
const RESERVED = new Set(['time', 'level', 'service', 'environment', 'version', 'message'])

/** Takes user and password out of every URL in a text. */
export const redact = (text) => text.replace(/([a-z][a-z0-9+.-]*:\/\/)[^/\s?#"']*@/gi, '$1***@')

export function createLogger({ service, environment, version, level = 'info', write = toStdout }) {
  return new Logger({ service, environment, version }, {}, level, write)
}

class Logger {
  #identity
  #bindings
  #write

  constructor(identity, bindings, level, write) {
    this.#identity = identity
    this.#bindings = bindings
    this.#write = write
    this.level = level
  }

  /** A logger that adds these fields to every line, e.g. `{ request_id }`. */
  child(bindings, { level = this.level } = {}) {
    return new Logger(this.#identity, { ...this.#bindings, ...bindings }, level, this.#write)
  }

  isLevelEnabled(level) {
    return LEVELS[level] >= (LEVELS[this.level] ?? LEVELS.info)
  }

  trace(...args) {
    this.#log('trace', args)
  }
  debug(...args) {
    this.#log('debug', args)
  }
  info(...args) {
    this.#log('info', args)
  }
  warn(...args) {
    this.#log('warn', args)
  }
  error(...args) {
    this.#log('error', args)
  }
  fatal(...args) {
    this.#log('fatal', args)
  }
  silent() {}

  #log(level, [first, second]) {
    if (!this.isLevelEnabled(level)) return
    const [message, fields] = typeof first === 'string' ? [first, second] : [second, first]
    const line = { time: new Date().toISOString(), level, ...this.#identity, message: message ?? fields?.message ?? '' }
    for (const [name, value] of Object.entries({ ...this.#bindings, ...flat(fields) })) {
      if (!RESERVED.has(name) && value !== undefined) line[name] = value
    }
    this.#write(`${redact(JSON.stringify(line, plain()))}\n`)
  }
}

function flat(fields) {
  if (fields instanceof Error) return { error: fields }
  if (fields === null || typeof fields !== 'object') return {}
  const { err, ...rest } = fields
  return err === undefined ? rest : { ...rest, error: err }
}

// What JSON.stringify cannot do by itself: errors, big integers, and objects that hold themselves.
function plain() {
  const above = []
  return function (_key, value) {
    if (typeof value === 'bigint') return value.toString()
    if (value instanceof Error)
      return { name: value.name, message: value.message, code: value.code, stack: value.stack }
    if (value === null || typeof value !== 'object') return value
    while (above.length > 0 && above.at(-1) !== this) above.pop()
    if (above.includes(value)) return '[circular]'
    above.push(value)
    return value
  }
}

function toStdout(line) {
  process.stdout.write(line)
}
