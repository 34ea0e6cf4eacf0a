// Every error leaves as application/problem+json, whoever noticed it.
import { PROBLEM_TYPE, problem, requestId } from '@vital-ops/shared-kernel'
import { describeViolation } from './validation.js'

/** An error with a status and a text meant for the person who asked. */
export class HttpError extends Error {
  constructor(status, detail, { headers = {}, kind } = {}) {
    super(detail)
    Object.assign(this, { statusCode: status, headers, kind, isForTheCaller: true })
  }
}

const DETAILS = {
  FST_ERR_CTP_INVALID_JSON_BODY: 'the body is not valid JSON',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'the body is empty; send JSON, or leave the content-type out',
  FST_ERR_CTP_BODY_TOO_LARGE: 'the body is too large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'the content-type must be application/json',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'the body is not as long as its content-length says',
  FST_ERR_BAD_URL: 'the path is not a valid URL',
  FST_ERR_ASYNC_CONSTRAINT: 'the request cannot be routed',
}

export function sendProblem(reply, status, detail, { kind, errors } = {}) {
  const body = problem({ status, detail, requestId: reply.request.id, kind, errors })
  return reply.code(status).type(PROBLEM_TYPE).send(JSON.stringify(body))
}

export function answerErrors(app) {
  app.setNotFoundHandler((request, reply) => sendProblem(reply, 404, 'there is nothing at this path for this method'))
  app.setErrorHandler(onError)
}

function onError(error, request, reply) {
  if (error.validation) {
    const { detail, errors } = describeViolation(error.validation[0], error.validationContext)
    return sendProblem(reply, 400, detail, { kind: 'validation', errors })
  }
  if (error.isForTheCaller) return sendProblem(reply.headers(error.headers), error.statusCode, error.message, error)
  const status = error.statusCode >= 400 && error.statusCode < 500 ? error.statusCode : 500
  if (status === 500) {
    request.log.error('a request failed', { err: error })
    return sendProblem(reply, 500, 'something went wrong here; the request id finds it in the logs')
  }
  return sendProblem(reply, status, DETAILS[error.code] ?? 'the request cannot be understood')
}

// What Fastify answers before a route or a hook is reached.
answerErrors.forFramework = {
  frameworkErrors: (error, request, reply) => {
    reply.header('x-request-id', request.id)
    return onError(error, request, reply)
  },
  clientErrorHandler: (error, socket) => {
    if (error.code === 'ECONNRESET' || !socket.writable) return socket.destroy()
    const status = { HPE_HEADER_OVERFLOW: 431, ERR_HTTP_REQUEST_TIMEOUT: 408 }[error.code] ?? 400
    const id = requestId()
    const body = problem({ status, detail: 'the request is not valid HTTP, or came too slowly', requestId: id })
    const text = JSON.stringify(body)
    const head = [
      `HTTP/1.1 ${status} ${body.title}`,
      `content-type: ${PROBLEM_TYPE}`,
      `x-request-id: ${id}`,
      `content-length: ${Buffer.byteLength(text)}`,
      'connection: close',
    ]
    socket.end(`${head.join('\r\n')}\r\n\r\n${text}`)
  },
}
