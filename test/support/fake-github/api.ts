import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Answer, type Call, notFound, Refusal } from './answer.js';
import { answerWith, type Fault, type FaultPlan } from './faults.js';
import { type Route, routes } from './routes.js';
import type { Validator } from './validate.js';
import { now, type Permission, repositoryKey, type World } from './world.js';

interface ApiContext {
  readonly world: World;
  readonly faults: FaultPlan;
  readonly validator: Validator | undefined;
  readonly violations: string[];
  see(request: IncomingMessage, endpoint: string, file?: string): Promise<void>;
}

interface ApiRequest {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Below the API's base. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** It came to the address for uploads. */
  readonly isUpload: boolean;
}

const MAX_JSON = 1024 * 1024;

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request) {
    const bytes: Buffer = chunk;
    length += bytes.length;
    if (length > MAX_JSON) throw new Refusal(413, 'Payload too large');
    chunks.push(bytes);
  }
  if (length === 0) return undefined;
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    throw new Refusal(400, 'Problems parsing JSON');
  }
}

interface Caller {
  readonly permission: Permission | undefined;
  /** Whose budget is used. */
  readonly name: string;
  readonly limit: number;
}

function identify(world: World, request: IncomingMessage): Caller {
  const header = request.headers.authorization;
  if (header === undefined) return { permission: undefined, name: 'anonymous', limit: world.limits.anonymous };
  const token = /^(?:token|bearer) (.+)$/i.exec(header)?.[1] ?? '';
  const permission = world.tokens.get(token);
  if (permission === undefined) throw new Refusal(401, 'Bad credentials');
  return { permission, name: token, limit: world.limits.authenticated };
}

/** Hours do not pass in tests: what is used stays used. */
function budgetHeaders(world: World, { name, limit }: Caller): Record<string, string> {
  const used = world.used.get(name) ?? 0;
  return {
    'x-ratelimit-limit': String(limit),
    'x-ratelimit-remaining': String(Math.max(0, limit - used)),
    'x-ratelimit-used': String(used),
    'x-ratelimit-reset': String(Math.ceil(Date.now() / 1000) + 3600),
    'x-ratelimit-resource': 'core',
  };
}

function findRoute({ request, path, isUpload }: ApiRequest) {
  const match = /^\/repos\/([^/]+)\/([^/]+)(.*)$/.exec(path);
  if (match === null) return undefined;
  const [, owner = '', name = '', rest = ''] = match;
  for (const route of routes) {
    if (route.method !== request.method || (route.upload === true) !== isUpload) continue;
    const groups = route.pattern.exec(rest);
    if (groups === null) continue;
    const params = Object.entries(groups.groups ?? {}).map(([key, value]) => [key, decodeURIComponent(value)] as const);
    return {
      route,
      params: Object.fromEntries(params),
      key: repositoryKey(decodeURIComponent(owner), decodeURIComponent(name)),
    };
  }
  return undefined;
}

/** Name of the asset that a request is about. */
function assetName(context: ApiContext, route: Route, call: Pick<Call, 'params' | 'query'>): string | undefined {
  if (route.upload === true) return call.query.get('name') ?? undefined;
  const id = Number(call.params['asset_id']);
  for (const repository of context.world.repositories.values()) {
    for (const release of repository.releases.values()) {
      const asset = release.assets.get(id);
      if (asset !== undefined) return asset.name;
    }
  }
  return undefined;
}

/** Answers one request to the REST API. */
export async function handleApi(context: ApiContext, input: ApiRequest): Promise<void> {
  const { world, faults, violations } = context;
  const { request, response, query } = input;
  const found = findRoute(input);
  if (found === undefined) {
    await context.see(request, 'unknown');
    violations.push(`this server does not know ${request.method} ${input.path}`);
    send(response, notFound().answer, {});
    return;
  }
  const { route, params, key } = found;
  const file = assetName(context, route, { params, query });
  await context.see(request, route.operation, file);
  const fault = faults.take(route.operation, file);
  if (fault !== undefined && answerWith(fault, request, response)) {
    request.resume();
    return;
  }
  const state: { body: unknown; headers: Record<string, string> } = { body: undefined, headers: {} };
  let answer: Answer;
  try {
    const caller = identify(world, request);
    const used = world.used.get(caller.name) ?? 0;
    if (used >= caller.limit) {
      state.headers = budgetHeaders(world, caller);
      throw new Refusal(403, `API rate limit exceeded for ${caller.name === 'anonymous' ? '127.0.0.1' : 'user'}.`);
    }
    world.used.set(caller.name, used + 1);
    state.headers = { ...budgetHeaders(world, caller), date: now(world).toUTCString() };
    const repository = world.repositories.get(key);
    if (repository === undefined || (repository.isPrivate && caller.permission === undefined)) throw notFound();
    if (route.upload !== true) state.body = await readJson(request);
    const accept = request.headers.accept ?? '';
    const call: Call = { world, repository, params, query, body: state.body, permission: caller.permission, accept };
    answer = await route.handle(call, { request, fault });
    answer = applyEtag(world, answer, { request, caller, headers: state.headers });
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    answer = error.answer;
  }
  const problems = context.validator?.check({
    operation: route.operation,
    query,
    requestBody: state.body,
    status: answer.status,
    answerBody: answer.body,
  });
  violations.push(...(problems ?? []));
  finish(input, answer, { fault, headers: state.headers });
}

/** GET answers carry an entity tag, and asking again with it costs nothing of the budget. */
function applyEtag(
  world: World,
  answer: Answer,
  { request, caller, headers }: { request: IncomingMessage; caller: Caller; headers: Record<string, string> },
): Answer {
  if (request.method !== 'GET' || answer.status !== 200) return answer;
  headers['etag'] = `W/"${createHash('sha256').update(JSON.stringify(answer.body)).digest('hex')}"`;
  if (request.headers['if-none-match'] !== headers['etag']) return answer;
  world.used.set(caller.name, Math.max(0, (world.used.get(caller.name) ?? 1) - 1));
  return { status: 304 };
}

function finish(
  { request, response }: ApiRequest,
  answer: Answer,
  { fault, headers }: { fault: Fault | undefined; headers: Record<string, string> },
): void {
  if (fault?.kind === 'lose-answer' || fault?.kind === 'break-upload') {
    response.socket?.resetAndDestroy();
    return;
  }
  if (!request.complete) {
    // The rest of a body that was refused is not read: GitHub closes the connection as well.
    response.shouldKeepAlive = false;
  }
  send(response, answer, headers);
}

function send(response: ServerResponse, { status, body, headers }: Answer, extra: Record<string, string>): void {
  const all = { 'x-github-request-id': 'FAKE:1', ...extra, ...headers };
  if (body === undefined) {
    response.writeHead(status, all).end();
    return;
  }
  const text = JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', ...all });
  response.end(text);
}
