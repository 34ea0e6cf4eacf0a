import { readFileSync, readdirSync } from 'node:fs'

const FOLDER = new URL('../schemas/', import.meta.url)

export const schemaId = (name) => `urn:vital-ops:schema:${name}`

/** All schemas by name (the file's name without .json). */
export function loadSchemas() {
  const names = readdirSync(FOLDER).filter((file) => file.endsWith('.json'))
  return Object.fromEntries(
    names
      .sort()
      .map((file) => [file.slice(0, -'.json'.length), JSON.parse(readFileSync(new URL(file, FOLDER), 'utf8'))]),
  )
}
