import assert from 'node:assert/strict'
import { test } from 'node:test'
import { apiKey, ask, call, unique } from './support.js'

const SEEDED = 'handbook/rollback'

test('a question is answered from the seeded documents, with its source', async () => {
  const { status, json } = await ask('how do I roll back a deployment?')
  assert.equal(status, 200)
  assert.equal(json.question, 'how do I roll back a deployment?')
  assert.equal(json.answers[0].document.source, SEEDED)
  assert.equal(json.answers[0].text, json.answers[0].passages[0].text)
  const scores = json.answers.map(({ score }) => score)
  assert.deepEqual(
    scores,
    scores.toSorted((a, b) => b - a),
    'best first',
  )
  assert.equal(
    new Set(json.answers.map(({ document }) => document.id)).size,
    json.answers.length,
    'one answer a document',
  )
  for (const { score, passages } of json.answers) {
    assert.ok(score > 0 && score <= 1)
    for (const { id, ordinal, text, document } of passages) assert.ok(id && ordinal && text && document.title)
  }
})

test('limit: at most so many documents', async () => {
  const { json } = await call('/v1/answers', { method: 'POST', body: { question: 'deployment', limit: 1 } })
  assert.equal(json.answers.length, 1)
})

test('nothing fits: an empty list, not an error', async () => {
  const { status, json } = await ask('xqzvwk jjqpzx')
  assert.equal(status, 200)
  assert.deepEqual(json.answers, [])
})

test('search syntax and hostile text are only words', async () => {
  for (const question of [
    "'; drop table app.document; --",
    '"unclosed',
    '& | ! <-> :*',
    '%_\\',
    '\u{1F6A8} rollback',
  ]) {
    const { status } = await ask(question)
    assert.equal(status, 200, question)
  }
  assert.equal((await ask('how do I roll back a deployment?')).json.answers[0].document.source, SEEDED)
})

test('store, ask, replace, list, read, delete', async (t) => {
  const source = unique('document')
  const word = `zyx${source.slice(-6)}`
  const body = {
    source,
    title: 'Gateway on call',
    body: `# Paging\n\nThe pager of ${word} is answered by the platform team.`,
  }
  const stored = await call('/v1/documents', { method: 'POST', body })
  assert.equal(stored.status, 201, stored.text)
  const { id } = stored.json
  t.after(() => call(`/v1/documents/${id}`, { method: 'DELETE' }))
  assert.deepEqual([stored.json.source, stored.json.title], [source, 'Gateway on call'])
  assert.ok(stored.json.passages >= 1)

  const found = await ask(`who answers the pager of ${word}?`)
  assert.equal(found.json.answers[0].document.source, source)
  assert.match(found.json.answers[0].text, new RegExp(word))

  const replaced = await call('/v1/documents', { method: 'POST', body: { ...body, title: 'Gateway off call' } })
  assert.deepEqual([replaced.status, replaced.json.id, replaced.json.title], [200, id, 'Gateway off call'])

  const page = await call(`/v1/documents?limit=1&after=${id - 1}`)
  assert.equal(page.json.documents[0].source, source)
  const read = await call(`/v1/documents/${id}`)
  assert.equal(read.json.title, 'Gateway off call')
  assert.ok(!Number.isNaN(Date.parse(read.json.updated_at)))

  assert.equal((await call(`/v1/documents/${id}`, { method: 'DELETE' })).status, 204)
  for (const method of ['GET', 'DELETE']) {
    const gone = await call(`/v1/documents/${id}`, { method })
    assert.equal(gone.status, 404)
    assert.equal(gone.json.status, 404)
  }
  assert.ok((await ask(word)).json.answers.every(({ document }) => document.id !== id))
})

test('pages of documents: every one once, in order', async () => {
  const ids = []
  let after = 0
  do {
    const { status, json } = await call(`/v1/documents?limit=2&after=${after}`)
    assert.equal(status, 200)
    ids.push(...json.documents.map(({ id }) => id))
    after = json.next
  } while (after !== null && ids.length < 1000)
  assert.ok(ids.length > 0)
  assert.deepEqual(
    ids,
    [...new Set(ids)].toSorted((a, b) => a - b),
  )
})

test('a request without a key, with a wrong one, or with another scheme: 401', async () => {
  for (const options of [
    { key: null },
    { key: 'wrong' },
    { key: null, headers: { authorization: `Basic ${apiKey}` } },
  ]) {
    const { status, headers, json } = await ask('anything', options)
    assert.equal(status, 401)
    assert.match(headers.get('www-authenticate'), /^Bearer/)
    assert.match(headers.get('content-type'), /^application\/problem\+json/)
    assert.equal(json.status, 401)
  }
})

const INVALID = [
  ['POST', '/v1/answers', { question: '' }],
  ['POST', '/v1/answers', { question: 'x'.repeat(1001) }],
  ['POST', '/v1/answers', { question: 'x', surplus: true }],
  ['POST', '/v1/answers', { question: 'x', limit: 11 }],
  ['POST', '/v1/answers', { question: 'a\u0000b' }],
  ['POST', '/v1/answers', '{'],
  ['POST', '/v1/documents', { source: 's', title: 't' }],
  ['POST', '/v1/documents', { source: 's', title: 'x'.repeat(201), body: 'b' }],
  ['GET', '/v1/documents?limit=0'],
  ['GET', '/v1/documents/none'],
]
test('what does not fit the schemas is refused with a 400 that says where', async () => {
  for (const [method, path, body] of INVALID) {
    const { status, json } = await call(path, { method, body })
    assert.equal(status, 400, `${method} ${path} ${JSON.stringify(body)?.slice(0, 60)}`)
    assert.ok(json.detail && json.request_id)
    if (typeof body !== 'string') assert.equal(typeof json.errors[0].pointer, 'string')
  }
})

test('rate limit: every answer says what is left', async () => {
  const [first, second] = [await ask('rollback'), await ask('rollback')]
  const left = (answer) => Number(answer.headers.get('ratelimit-remaining'))
  assert.ok(Number(first.headers.get('ratelimit-limit')) > 0)
  assert.ok(Number(first.headers.get('ratelimit-reset')) >= 0)
  assert.ok(left(first) > 0 && left(second) <= left(first) + 1)
})
