// Requests are held to the shared schemas. Bodies are taken as they are; parameters, which are always text, may be
// read as numbers. Nothing is dropped: an unknown member is an error.
import { loadSchemas, schemaId } from '@vital-ops/shared-kernel'
import Ajv2020 from 'ajv/dist/2020.js'

const OPTIONS = { allowUnionTypes: true, validateFormats: false, useDefaults: true }
const schemas = Object.values(loadSchemas())
const forBodies = new Ajv2020(OPTIONS).addSchema(schemas)
const forParameters = new Ajv2020({ ...OPTIONS, coerceTypes: true }).addSchema(schemas)

/** A route's schema: a reference to a shared one. */
export const shared = (name) => ({ $ref: schemaId(name) })

export const validatorCompiler = ({ schema, httpPart }) =>
  (httpPart === 'body' ? forBodies : forParameters).getSchema(schema.$ref)

const PARTS = { querystring: 'query', params: 'path' }

/** The first violation in words, with the JSON Pointer of its place. */
export function describeViolation({ instancePath, keyword, params, message }, context) {
  const member = params.additionalProperty ?? params.missingProperty
  const pointer = member === undefined ? instancePath : `${instancePath}/${escapePointer(member)}`
  const what = {
    additionalProperties: 'is not known',
    required: 'is missing',
    pattern: 'must not be blank',
    not: 'must not hold NUL or unpaired surrogate characters',
  }
  const detail = what[keyword] ?? message
  return { detail: `${PARTS[context] ?? context}${pointer} ${detail}`, errors: [{ pointer, detail }] }
}

const escapePointer = (name) => name.slice(0, 100).replace(/~/g, '~0').replace(/\//g, '~1')
