// Configuration from the environment. Every key may instead come as KEY_FILE, the path of a file that
// holds the value (how secrets reach a container); KEY_FILE wins. An error names the key, never the value.
import { readFileSync } from 'node:fs'

const MILLISECONDS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

export class ConfigurationError extends Error {
  name = 'ConfigurationError'
}

export class Configuration {
  #environment

  constructor(environment = process.env) {
    this.#environment = environment
  }

  string(key, { default: fallback, oneOf } = {}) {
    const value = this.#read(key)
    if (value === undefined) return this.#fallback(key, fallback)
    if (oneOf && !oneOf.includes(value)) throw invalid(key, `one of ${oneOf.join(', ')}`)
    return value
  }

  integer(key, { default: fallback, min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER } = {}) {
    const value = this.#read(key)
    if (value === undefined) return this.#fallback(key, fallback)
    const number = /^[+-]?\d+$/.test(value) ? Number(value) : NaN
    if (!Number.isSafeInteger(number) || number < min || number > max) {
      throw invalid(key, `a whole number${range(min, max)}`)
    }
    return number
  }

  boolean(key, { default: fallback } = {}) {
    const value = this.#read(key)
    if (value === undefined) return this.#fallback(key, fallback)
    if (/^(true|1|yes|on)$/i.test(value)) return true
    if (/^(false|0|no|off)$/i.test(value)) return false
    throw invalid(key, 'true or false')
  }

  /** Milliseconds from `250ms`, `10s`, `5m`, `1h`, `2d`. */
  duration(key, { default: fallback } = {}) {
    const value = this.#read(key)
    if (value === undefined) return this.#fallback(key, fallback)
    const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(value)
    if (!match) throw invalid(key, 'a duration such as 250ms, 10s or 5m')
    return Math.round(Number(match[1]) * MILLISECONDS[match[2]])
  }

  /** The value as it is; only its form is checked, so that drivers read the URL in their own way. */
  url(key, { default: fallback, protocols = ['http:', 'https:'] } = {}) {
    const value = this.#read(key)
    if (value === undefined) return this.#fallback(key, fallback)
    if (!URL.canParse(value) || !protocols.includes(new URL(value).protocol)) {
      throw invalid(key, `a URL that begins with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}`)
    }
    return value
  }

  /**
   * The service's settings (SERVICE_SETTINGS, one JSON object). `known` maps each name to its `default` and,
   * for numbers, `min` and `max`; the default's type is the setting's type. An unknown name is an error.
   */
  settings(known) {
    const given = parseSettings(this.#read('SERVICE_SETTINGS') ?? '{}')
    for (const name of Object.keys(given)) {
      if (!Object.hasOwn(known, name)) {
        throw new ConfigurationError(
          `setting \`${name}\` is not known; known are ${Object.keys(known).sort().join(', ')}`,
        )
      }
    }
    return Object.fromEntries(Object.entries(known).map(([name, rule]) => [name, setting(name, rule, given[name])]))
  }

  #read(key) {
    const file = this.#environment[`${key}_FILE`]
    if (file) {
      try {
        return readFileSync(file, 'utf8').replace(/\r?\n$/, '')
      } catch (error) {
        throw new ConfigurationError(`\`${key}_FILE\` names a file that cannot be read (${error.code})`)
      }
    }
    return this.#environment[key] || undefined
  }

  #fallback(key, fallback) {
    if (fallback === undefined) {
      throw new ConfigurationError(
        `\`${key}\` is not set; set ${key}, or ${key}_FILE to the path of a file with its value`,
      )
    }
    return fallback
  }
}

function setting(name, { default: fallback, min = 0, max = Number.MAX_SAFE_INTEGER }, value) {
  if (value === undefined || value === null) return fallback
  const label = `setting \`${name}\``
  if (typeof value !== typeof fallback) throw new ConfigurationError(`${label} must be a ${typeof fallback}`)
  if (typeof value === 'number' && !(value >= min && value <= max)) {
    throw new ConfigurationError(`${label} must be a number${range(min, max)}`)
  }
  return value
}

function parseSettings(text) {
  try {
    const settings = JSON.parse(text)
    if (settings !== null && typeof settings === 'object' && !Array.isArray(settings)) return settings
  } catch {
    // the same error as for a value of another type, without the value
  }
  throw new ConfigurationError('`SERVICE_SETTINGS` must be one JSON object')
}

const invalid = (key, expected) => new ConfigurationError(`\`${key}\` must be ${expected}`)

function range(min, max) {
  const low = min > Number.MIN_SAFE_INTEGER
  const high = max < Number.MAX_SAFE_INTEGER
  if (low && high) return ` from ${min} to ${max}`
  return low ? ` of at least ${min}` : high ? ` of at most ${max}` : ''
}
