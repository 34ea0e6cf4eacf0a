import { STATUS_CODES } from 'node:http'

export const PROBLEM_TYPE = 'application/problem+json; charset=utf-8'

/** The body of an error (RFC 9457). `kind` makes a type of one's own, e.g. `validation`. */
export function problem({ status, detail, requestId, kind, errors }) {
  return {
    type: kind ? `urn:vital-ops:problem:${kind}` : 'about:blank',
    title: STATUS_CODES[status] ?? 'Error',
    status,
    detail,
    request_id: requestId,
    ...(errors && { errors }),
  }
}
