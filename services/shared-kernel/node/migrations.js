// Which migrations a service was built with, and which of them its database does not have yet.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'

const VERSIONED = /^(\d+)_.+(?<!\.down)\.sql$/
const plain = (version) => String(version).replace(/^0+(?=\d)/, '')

/** The versions under `folder`/pending and `folder`/applied, in order; a missing subfolder holds none. */
export function migrationVersions(folder) {
  const entries = readdirSync(folder)
  const files = ['applied', 'pending']
    .filter((name) => entries.includes(name))
    .flatMap((name) => readdirSync(join(folder, name)))
  const versions = files.map((file) => VERSIONED.exec(file)?.[1]).filter((version) => version !== undefined)
  return [...new Set(versions)].sort((a, b) => (BigInt(a) < BigInt(b) ? -1 : 1))
}

/** Those of `wanted` that are not in `applied`; leading zeros do not matter. */
export function missingVersions(wanted, applied) {
  const there = new Set([...applied].map(plain))
  return wanted.filter((version) => !there.has(plain(version)))
}
