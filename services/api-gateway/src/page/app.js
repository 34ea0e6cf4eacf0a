// The page: asks with the key of this tab, shows passages with their sources, and the state of the system.
const REFRESH_MS = 10_000
const ANSWER_TIMEOUT_MS = 20_000
const KEY = 'vital-ops.api-key'
const LISTED = 3

const at = (id) => document.getElementById(id)
const [form, question, key, submit, forget, problem] = ['ask', 'question', 'key', 'submit', 'forget', 'problem'].map(at)

function element(name, { text, className, ...attributes } = {}, ...children) {
  const node = document.createElement(name)
  if (text !== undefined) node.textContent = text
  if (className) node.className = className
  for (const [attribute, value] of Object.entries(attributes)) node.setAttribute(attribute, value)
  node.append(...children)
  return node
}

// Ask

function showProblem(text, requestId) {
  problem.replaceChildren(text)
  if (requestId) problem.append(element('small', { text: `Request ${requestId}` }))
  problem.hidden = false
}

function inWords(status, body, headers) {
  if (status === 401) return 'This API key is not known, or was revoked. Check it, or ask for a new one.'
  if (status === 429)
    return `Too many questions with this key. Try again in ${headers.get('retry-after') ?? 'a few'} seconds.`
  if (status === 400) return `The question cannot be used: ${body.detail ?? 'it does not have the right form'}.`
  if (status === 504) return 'No answer came in time. Try again.'
  if (status >= 500)
    return `Answers are not available right now: ${body.detail ?? 'the system is not ready'}. Try again in a moment.`
  return body.detail ?? `The question was refused (${status}).`
}

async function ask(text, apiKey) {
  let response
  try {
    response = await fetch('/v1/answers', {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${apiKey}` },
      body: JSON.stringify({ question: text, limit: LISTED }),
      signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
    })
  } catch (error) {
    const isLate = error.name === 'TimeoutError'
    const words = isLate ? 'No answer came in time. Try again.' : 'The server cannot be reached. Is your connection up?'
    throw new Error(words, { cause: error })
  }
  const body = await response.json().catch(() => ({}))
  if (response.ok) return body
  throw Object.assign(new Error(inWords(response.status, body, response.headers)), {
    status: response.status,
    requestId: response.headers.get('x-request-id'),
  })
}

// The little Markdown a passage needs to be read: fences, `code`, and lines that were only wrapped in the file.
const OWN_LINE = /^(\s*([-*+]|\d+[.)])\s|\s*\||>| {4}|\t)/

function passageElement({ heading, text }) {
  const quote = element('blockquote')
  if (heading) quote.append(element('p', { className: 'heading', text: heading }))
  for (const [index, part] of text.split(/^```.*$\n?/m).entries()) {
    const isFenced = index % 2 === 1
    if (isFenced) quote.append(element('pre', {}, element('code', { text: part.trimEnd() })))
    else if (part.trim()) quote.append(element('p', {}, ...inline(unwrap(part.trim()))))
  }
  return quote
}

function unwrap(text) {
  const isTable = /^\s*\|/m.test(text)
  const joined = (all, line) => all + (!line.trim() || OWN_LINE.test(line) || all.endsWith('\n') ? '\n' : ' ') + line
  return isTable ? text : text.split('\n').reduce(joined)
}

const inline = (text) =>
  text.split(/`([^`\n]+)`/).map((part, index) => (index % 2 === 1 ? element('code', { text: part }) : part))

function sourceElement(source) {
  if (!/^https?:\/\//.test(source)) return element('code', { text: source })
  return element('a', { href: source, rel: 'noopener noreferrer', text: source })
}

function answerElement({ score, document: from, passages }) {
  const [best, ...more] = passages
  const source = element('p', { className: 'source' }, element('span', {}, 'Source: ', sourceElement(from.source)))
  source.append(element('span', { text: `Match ${Math.round(score * 100)} %` }))
  const item = element('li', { className: 'answer' }, element('h3', { text: from.title }), source, passageElement(best))
  if (more.length > 0) {
    const count = more.length === 1 ? '1 more passage' : `${more.length} more passages`
    item.append(
      element('details', {}, element('summary', { text: `${count} of this document` }), ...more.map(passageElement)),
    )
  }
  return item
}

function showAnswers({ answers }) {
  const count = answers.length === 1 ? '1 document answers' : `${answers.length} documents answer`
  at('result-title').textContent = answers.length > 0 ? count : 'Nothing found. Try other or fewer words.'
  at('answers').replaceChildren(...answers.map(answerElement))
  at('result').hidden = false
  at('result-title').focus()
}

function markInvalid(field, isInvalid) {
  if (isInvalid) field.setAttribute('aria-invalid', 'true')
  else field.removeAttribute('aria-invalid')
}

let isAsking = false
form.addEventListener('submit', async (event) => {
  event.preventDefault()
  if (isAsking) return
  problem.hidden = true
  const [text, apiKey] = [question.value.trim(), key.value.trim()]
  markInvalid(question, !text)
  markInvalid(key, !apiKey)
  if (!text || !apiKey) {
    showProblem(text ? 'Paste an API key first.' : 'Write a question first.')
    ;(text ? key : question).focus()
    return
  }
  if (/[^\x21-\x7e]/.test(apiKey)) {
    markInvalid(key, true)
    showProblem('This is not an API key: it holds characters that no key has.')
    return key.focus()
  }
  isAsking = true
  submit.setAttribute('aria-disabled', 'true')
  submit.textContent = 'Asking…'
  at('result').setAttribute('aria-busy', 'true')
  try {
    showAnswers(await ask(text, apiKey))
    sessionStorage.setItem(KEY, apiKey)
    forget.hidden = false
  } catch (error) {
    at('result').hidden = true
    if (error.status === 401) {
      forgetKey()
      markInvalid(key, true)
      key.focus()
    }
    showProblem(error.message, error.requestId)
    if (!(error.status < 500)) keepFresh()
  } finally {
    isAsking = false
    submit.removeAttribute('aria-disabled')
    submit.textContent = 'Ask'
    at('result').setAttribute('aria-busy', 'false')
  }
})

question.addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return
  event.preventDefault()
  form.requestSubmit()
})

function forgetKey() {
  sessionStorage.removeItem(KEY)
  forget.hidden = true
}
forget.addEventListener('click', () => {
  forgetKey()
  key.value = ''
  key.focus()
})
key.value = sessionStorage.getItem(KEY) ?? ''
forget.hidden = key.value === ''

// State

const MARKS = { good: ['✓', 'ready'], warn: ['!', 'not ready'], bad: ['✕', 'down'] }
const grade = ({ live, ready }) => (ready ? 'good' : live ? 'warn' : 'bad')

function serviceElement(service) {
  const level = grade(service)
  const [sign, words] = MARKS[level]
  const mark = element('span', { className: `mark ${level}`, 'aria-hidden': 'true', text: sign })
  const detail = service.detail === words ? words : `${words}, ${service.detail}`
  return element(
    'li',
    {},
    mark,
    element('strong', { text: service.name }),
    element('span', { className: 'detail', text: detail }),
  )
}

function summarize(text, level) {
  const summary = at('state-summary')
  if (summary.textContent !== text) summary.textContent = text
  summary.className = `summary ${level}`
}

async function refresh() {
  try {
    const response = await fetch('/v1/status', { signal: AbortSignal.timeout(REFRESH_MS) })
    if (!response.ok) throw new Error(String(response.status))
    const { services, environment, version } = await response.json()
    const failing = services.filter(({ ready }) => !ready)
    at('services').replaceChildren(...services.map(serviceElement))
    if (failing.length === 0) summarize('All ready', 'good')
    else
      summarize(
        `Not ready: ${failing.map(({ name }) => name).join(', ')}`,
        failing.some(({ live }) => !live) ? 'bad' : 'warn',
      )
    at('state-time').textContent = `Last looked at ${new Date().toLocaleTimeString()}`
    at('environment').textContent = environment
    at('environment').classList.toggle('production', environment === 'production')
    at('environment').hidden = false
    at('version').textContent = `Version ${version}`
  } catch {
    summarize('The server cannot be reached', 'bad')
    at('services').replaceChildren()
  }
}

let timer
async function keepFresh() {
  clearTimeout(timer)
  if (!document.hidden) await refresh()
  clearTimeout(timer)
  timer = setTimeout(keepFresh, REFRESH_MS)
}
document.addEventListener('visibilitychange', () => document.hidden || keepFresh())
keepFresh()
