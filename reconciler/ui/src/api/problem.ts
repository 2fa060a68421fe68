/**
 * What can go wrong with a request, as one type. Knows problem documents (RFC 9457) and what a
 * browser says when nothing answered. Refuses to know how an error is drawn.
 */
import type { Diagnostic, Problem } from './documents';

export type Failure =
  /** Nothing answered: the control plane is away, or the network is. */
  | 'unreachable'
  /** Nobody is logged in any more. */
  | 'session-ended'
  /** The role is too low. */
  | 'forbidden'
  /** There is no such thing. */
  | 'not-found'
  /** This control plane does not have the route, or not yet. */
  | 'not-available'
  /** Agents are waited for after a start. */
  | 'not-ready'
  | 'refused';

export class ApiError extends Error {
  readonly failure: Failure;
  readonly kind: string;
  readonly status: number;
  readonly detail: string | undefined;
  readonly diagnostics: Diagnostic[];
  /** Seconds until it may be tried again, where the server said so. */
  readonly retryAfter: number | undefined;

  constructor(failure: Failure, problem: Problem, retryAfter?: number) {
    super(problem.title);
    this.name = 'ApiError';
    this.failure = failure;
    this.kind = problem.type;
    this.status = problem.status;
    this.detail = problem.detail;
    this.diagnostics = problem.diagnostics ?? [];
    this.retryAfter = retryAfter;
  }
}

/** A request for a route that the control plane does not have ends with this title. */
const NO_ROUTE = 'there is no such route';

function failureOf(problem: Problem): Failure {
  switch (problem.status) {
    case 401:
      return 'session-ended';
    case 403:
      return 'forbidden';
    case 404:
      return problem.title === NO_ROUTE ? 'not-available' : 'not-found';
    case 405:
    case 501:
      return 'not-available';
    case 503:
      return problem.type === 'not-ready' || problem.type === 'orders-unknown'
        ? 'not-ready'
        : 'refused';
    default:
      return 'refused';
  }
}

function isProblem(value: unknown): value is Problem {
  return typeof value === 'object' && value !== null && 'title' in value && 'status' in value;
}

/** The error that an answer other than 2xx stands for. */
export async function errorOf(answer: Response): Promise<ApiError> {
  const retry = Number(answer.headers.get('retry-after'));
  const retryAfter = Number.isFinite(retry) && retry > 0 ? retry : undefined;
  const body: unknown = await answer.json().catch(() => undefined);
  const problem: Problem = isProblem(body)
    ? body
    : {
        type: 'no-problem-document',
        title: `The control plane answered ${answer.status} without saying why`,
        status: answer.status,
        detail: 'Its log may say more. Try again.',
      };
  return new ApiError(failureOf(problem), problem, retryAfter);
}

export function unreachable(): ApiError {
  return new ApiError('unreachable', {
    type: 'unreachable',
    title: 'The control plane does not answer',
    status: 0,
    detail: 'The network or the control plane is away. The page goes on by itself once it is back.',
  });
}

export function sessionEnded(): ApiError {
  return new ApiError('session-ended', {
    type: 'unauthenticated',
    title: 'The session has ended',
    status: 401,
    detail: 'Log in again; the page stays as it is.',
  });
}

export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  return new ApiError('refused', {
    type: 'page',
    title: 'This page has a fault',
    status: 0,
    detail: error instanceof Error ? error.message : 'It does not say which.',
  });
}
