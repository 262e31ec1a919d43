import type { Permission, Repository, World } from './world.js';

/** What a handler of the REST API is given. */
export interface Call {
  readonly world: World;
  readonly repository: Repository;
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  /** Parsed JSON; undefined if there was none. */
  readonly body: unknown;
  readonly permission: Permission | undefined;
  readonly accept: string;
}

export interface Answer {
  readonly status: number;
  /** Sent as JSON; undefined for no body. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

const DOCUMENTATION = 'https://docs.github.com/rest';

/** GitHub's error document, thrown by handlers. */
export class Refusal extends Error {
  readonly answer: Answer;

  constructor(status: number, message: string, extra: Readonly<Record<string, unknown>> = {}) {
    super(message);
    this.answer = { status, body: { message, documentation_url: DOCUMENTATION, status: String(status), ...extra } };
  }
}

export interface Invalid {
  readonly resource: string;
  readonly code: string;
  readonly field?: string;
  readonly message?: string;
}

export function validationFailed(...errors: readonly Invalid[]): Refusal {
  return new Refusal(422, 'Validation Failed', { errors });
}

export const notFound = (): Refusal => new Refusal(404, 'Not Found');

export function requireWrite({ permission }: Pick<Call, 'permission'>): void {
  if (permission === undefined) throw new Refusal(401, 'Requires authentication');
  if (permission !== 'write') throw new Refusal(403, 'Resource not accessible by personal access token');
}

/** Drafts exist only for those who may write. */
export function mayWrite({ permission }: Pick<Call, 'permission'>): boolean {
  return permission === 'write';
}

/** A field of a JSON body, if it has this type. */
export function field(body: unknown, name: string, type: 'string'): string | undefined;
export function field(body: unknown, name: string, type: 'boolean'): boolean | undefined;
export function field(body: unknown, name: string, type: string): unknown {
  const value: unknown = typeof body === 'object' && body !== null ? Reflect.get(body, name) : undefined;
  if (value === undefined || value === null) return undefined;
  if (typeof value !== type)
    throw new Refusal(422, `Invalid request.\n\nFor '/${name}', ${JSON.stringify(value)} is not a ${type}.`);
  return value;
}

const PER_PAGE = 30;
const MAX_PER_PAGE = 100;

/** One page of a list, with the Link header that leads to the others. */
export function page(call: Call, path: string, items: readonly unknown[]): Answer {
  const wanted = Number(call.query.get('per_page') ?? PER_PAGE);
  const size = Math.min(MAX_PER_PAGE, Number.isInteger(wanted) && wanted > 0 ? wanted : PER_PAGE);
  const number = Math.max(1, Number(call.query.get('page') ?? 1) || 1);
  const last = Math.max(1, Math.ceil(items.length / size));
  const to = (target: number, rel: string): string => {
    const query = new URLSearchParams(call.query);
    query.set('page', String(target));
    return `<${call.world.urls.api}${path}?${query.toString()}>; rel="${rel}"`;
  };
  const links = [
    ...(number > 1 ? [to(number - 1, 'prev')] : []),
    ...(number < last ? [to(number + 1, 'next'), to(last, 'last')] : []),
    ...(number > 1 ? [to(1, 'first')] : []),
  ];
  return {
    status: 200,
    body: items.slice((number - 1) * size, number * size),
    ...(links.length > 0 ? { headers: { link: links.join(', ') } } : {}),
  };
}
