import assert from 'node:assert/strict'
import { test } from 'node:test'
import Ajv2020 from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { loadSchemas, schemaId } from '@vital-ops/shared-kernel'

const schemas = loadSchemas()
const ajv = addFormats(new Ajv2020({ strict: true, allowUnionTypes: true, strictRequired: false }))
for (const schema of Object.values(schemas)) ajv.addSchema(schema)

const copy = (value) => structuredClone(value)
const example = (name, index = 0) => copy(schemas[name].examples[index])
const validate = (name, value) => ajv.getSchema(schemaId(name))(value)

for (const [name, schema] of Object.entries(schemas)) {
  test(`${name}: has an id, a title, a description and examples that validate`, () => {
    assert.equal(schema.$schema, 'https://json-schema.org/draft/2020-12/schema')
    assert.equal(schema.$id, schemaId(name))
    assert.ok(schema.title && schema.description && schema.examples.length > 0)
    for (const value of schema.examples) {
      assert.ok(validate(name, copy(value)), ajv.errorsText(ajv.getSchema(schemaId(name)).errors))
    }
  })

  test(`${name}: refuses an unknown member, a missing member and another type`, () => {
    assert.equal(validate(name, { ...example(name), surplus: 1 }), false)
    for (const member of schema.required) {
      const value = example(name)
      delete value[member]
      assert.equal(validate(name, value), false, `without ${member}`)
    }
    for (const value of [null, [], 'text', 1]) assert.equal(validate(name, value), false)
  })
}

const refused = [
  ['answers-request', 'an empty question', { question: '' }],
  ['answers-request', 'a blank question', { question: ' \n\t' }],
  ['answers-request', 'a question over 1000 characters', { question: 'x'.repeat(1001) }],
  ['answers-request', 'a NUL character', { question: 'a\u0000b' }],
  ['answers-request', 'an unpaired surrogate', { question: 'a\ud800' }],
  ['answers-request', 'limit 0', { question: 'x', limit: 0 }],
  ['answers-request', 'limit 11', { question: 'x', limit: 11 }],
  ['answers-request', 'a limit that is text', { question: 'x', limit: '3' }],
  ['answers-request', 'a limit with a fraction', { question: 'x', limit: 1.5 }],
  ['document-request', 'a source over 500 characters', { ...example('document-request'), source: 'x'.repeat(501) }],
  ['document-request', 'a title over 200 characters', { ...example('document-request'), title: 'x'.repeat(201) }],
  ['document-request', 'a body over 200000 characters', { ...example('document-request'), body: 'x'.repeat(200_001) }],
  ['document-params', 'id 0', { id: 0 }],
  ['document-list', 'a document without updated_at', { documents: [example('document')], next: null }],
  ['document', 'a time that is none', { ...example('document'), updated_at: 'yesterday' }],
  ['passage', 'a score over 1', { ...example('passage'), score: 1.1 }],
  ['answer', 'no passages', { ...example('answer'), passages: [] }],
  ['problem', 'a status that is no error', { ...example('problem'), status: 200 }],
  ['problem', 'a request id with a line break', { ...example('problem'), request_id: 'a\nb' }],
  ['health', 'another status', { ...example('health'), status: 'fine' }],
  ['readiness', 'a check without detail', { status: 'ready', checks: [{ name: 'database', ok: true }] }],
  [
    'status',
    'a service without readiness',
    { ...example('status'), services: [{ name: 'x', live: true, detail: '' }] },
  ],
]
for (const [name, what, value] of refused) {
  test(`${name}: refuses ${what}`, () => assert.equal(validate(name, value), false))
}

test('lengths count characters, not code units, as Python and PostgreSQL do', () => {
  assert.equal(validate('answers-request', { question: '\u{1F6A8}'.repeat(1000) }), true)
})

test('a body of blanks is refused in time that grows with its length only', () => {
  const start = performance.now()
  assert.equal(validate('document-request', { ...example('document-request'), body: ' '.repeat(200_000) }), false)
  assert.equal(
    validate('document-request', { ...example('document-request'), body: `${' a'.repeat(99_000)}\u0000` }),
    false,
  )
  assert.ok(performance.now() - start < 1000)
})
