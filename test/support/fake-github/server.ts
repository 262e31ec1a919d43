import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Listening, listen } from '../listen.js';
import { handleApi } from './api.js';
import { followWeb, openSigned } from './downloads.js';
import { answerWith, createFaultPlan, type Fault, type FaultTarget } from './faults.js';
import { sendAsset } from './send-file.js';
import { createValidator } from './validate.js';
import {
  type Limits,
  nextId,
  type Permission,
  type Repository,
  randomCommit,
  repositoryKey,
  type World,
} from './world.js';

/** A request as it arrived. */
export interface SeenRequest {
  /** `operationId` of the REST API, `web/latest-download`, `web/tag-download`, `web/other` or `cdn/download`. */
  readonly endpoint: string;
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  /** Name of the asset it is about, where the address says so. */
  readonly file: string | undefined;
}

export interface FakeGithubOptions {
  /** `enterprise`: API below `/api/v3` of the web server, as on GitHub Enterprise Server. Default: hosts of their own. */
  readonly layout?: 'github.com' | 'enterprise';
  /** Serve https with this key and certificate (PEM). */
  readonly tls?: { readonly key: string; readonly cert: string };
  /** Called with each request before anything is done with it; what it returns is waited for. */
  readonly onRequest?: (request: SeenRequest) => void | Promise<void>;
  /** Check every request to the API and every answer against GitHub's description. Default true. */
  readonly validate?: boolean;
}

/** A GitHub on the loopback interface. */
export interface FakeGithub extends AsyncDisposable {
  /** Give it to the product as `GITHUB_SERVER_URL`. */
  readonly server: string;
  /** Give it to the product as `GITHUB_API_URL`. */
  readonly api: string;
  readonly world: World;
  readonly limits: Limits;
  readonly requests: SeenRequest[];
  /** What was not as GitHub describes it, and tokens that came where they must not. Empty in every good test. */
  readonly violations: string[];
  /** Requests so far: to one endpoint, or with `api` to any of the REST API. */
  count(endpoint: 'api' | (string & {})): number;
  /** Bytes of the bodies of downloads, by the asset's name. */
  readonly sent: ReadonlyMap<string, number>;
  /** Forgets requests seen and bytes sent so far. */
  resetCounts(): void;
  createRepository(owner: string, name: string, options?: RepositoryOptions): Repository;
  /** A token with this permission on every repository. */
  createToken(permission: Permission): string;
  /** Lets the next requests to an endpoint fail, in the order of these calls. */
  fail(endpoint: string, fault: Fault, target?: FaultTarget): void;
  clearFaults(): void;
  /** How many requests are still to fail. */
  faultsLeft(): number;
  /** Puts the server's clock forward; signed addresses made before may run out. */
  advance(seconds: number): void;
}

export interface RepositoryOptions {
  readonly isPrivate?: boolean;
  /** Without any commit. */
  readonly isEmpty?: boolean;
  readonly immutableReleases?: boolean;
}

type Surface = 'web' | 'api' | 'uploads' | 'cdn';

const surfaces: readonly Surface[] = ['uploads', 'api', 'cdn', 'web'];

export async function createFakeGithub(options: FakeGithubOptions = {}): Promise<FakeGithub> {
  const { layout = 'github.com', tls } = options;
  const validator = options.validate === false ? undefined : createValidator();
  const requests: SeenRequest[] = [];
  const violations: string[] = [];
  const faults = createFaultPlan();
  const apiCalls = { count: 0 };
  const sent = new Map<string, number>();

  async function see(request: IncomingMessage, endpoint: string, file?: string): Promise<void> {
    const { method = 'GET', url = '/', headers } = request;
    const seen = { endpoint, method, url, headers, file };
    requests.push(seen);
    await options.onRequest?.(seen);
  }

  async function answerWeb(request: IncomingMessage, response: ServerResponse, path: string): Promise<void> {
    const { endpoint, file, location, body } = followWeb(world, path);
    await see(request, endpoint, file);
    const fault = faults.take(endpoint, file);
    if (fault !== undefined && answerWith(fault, request, response)) return;
    if (body !== undefined) {
      response.writeHead(200, { 'content-type': 'application/x-git-upload-pack-advertisement' }).end(body);
    } else if (location === undefined) response.writeHead(404, { 'content-type': 'text/plain' }).end('Not Found');
    else response.writeHead(302, { location }).end();
  }

  async function answerCdn(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    const file = url.searchParams.get('name') ?? undefined;
    await see(request, 'cdn/download', file);
    const fault = faults.take('cdn/download', file);
    if (fault !== undefined && answerWith(fault, request, response)) return;
    if (request.headers.authorization !== undefined) {
      violations.push(`a token was sent to the download server: ${request.method} ${url.pathname}`);
      response.writeHead(400).end();
      return;
    }
    const signed = openSigned(world, url);
    if (signed.state !== 'valid') {
      response.writeHead(signed.state === 'gone' ? 404 : 403, { 'content-type': 'application/xml' }).end();
      return;
    }
    signed.asset.downloads += 1;
    const { name } = signed.asset;
    const onSent = (bytes: number): void => void sent.set(name, (sent.get(name) ?? 0) + bytes);
    await sendAsset(signed.asset, { request, response, fault, onSent });
  }

  async function answer(request: IncomingMessage, response: ServerResponse, origin: string): Promise<void> {
    const url = new URL(request.url ?? '/', origin);
    const surface = surfaces.find((name) => {
      const base = new URL(world.urls[name]);
      return base.origin === origin && `${url.pathname}/`.startsWith(base.pathname === '/' ? '/' : `${base.pathname}/`);
    });
    if (surface === undefined || surface === 'web') return await answerWeb(request, response, url.pathname);
    if (surface === 'cdn') return await answerCdn(request, response, url);
    apiCalls.count += 1;
    const path = url.pathname.slice(new URL(world.urls[surface]).pathname.replace(/\/$/, '').length);
    await handleApi(
      { world, faults, validator, violations, see },
      { request, response, path, query: url.searchParams, isUpload: surface === 'uploads' },
    );
  }

  const servers: Listening[] = [];
  const open = async (): Promise<string> => {
    const handler = (request: IncomingMessage, response: ServerResponse): void => {
      answer(request, response, server.origin).catch((error: unknown) => {
        violations.push(`the server failed: ${error instanceof Error ? error.stack : String(error)}`);
        response.destroy();
      });
    };
    const server = await listen(tls === undefined ? createServer(handler) : createTlsServer(tls, handler));
    servers.push(server);
    return server.origin;
  };
  const web = await open();
  const urls =
    layout === 'enterprise'
      ? { web, api: `${web}/api/v3`, uploads: `${web}/api/uploads`, cdn: await open() }
      : { web, api: await open(), uploads: await open(), cdn: await open() };
  const world: World = {
    urls,
    directory: await mkdtemp(join(tmpdir(), 'trees-github-')),
    limits: { assetBytes: 2 ** 31, assetsPerRelease: 1000, anonymous: 60, authenticated: 5000, signedSeconds: 300 },
    repositories: new Map(),
    tokens: new Map(),
    used: new Map(),
    secret: randomBytes(16).toString('hex'),
    ahead: 0,
    lastId: 1000,
  };

  return {
    server: urls.web,
    api: urls.api,
    world,
    limits: world.limits,
    requests,
    violations,
    sent,
    count: (endpoint) =>
      endpoint === 'api' ? apiCalls.count : requests.filter((request) => request.endpoint === endpoint).length,
    resetCounts() {
      requests.length = 0;
      sent.clear();
      apiCalls.count = 0;
    },
    createRepository(owner, name, { isPrivate = false, isEmpty = false, immutableReleases = false } = {}) {
      const commit = randomCommit();
      const first = { tree: randomCommit(), parents: [], message: 'Initial commit', date: new Date() };
      const repository: Repository = {
        id: nextId(world),
        owner,
        name,
        isPrivate,
        immutableReleases,
        refs: new Map(isEmpty ? [] : [['refs/heads/main', commit]]),
        commits: new Map(isEmpty ? [] : [[commit, first]]),
        trees: new Set(),
        releases: new Map(),
        latest: undefined,
      };
      world.repositories.set(repositoryKey(owner, name), repository);
      return repository;
    },
    createToken(permission) {
      const token = `ghp_${randomBytes(18).toString('hex')}`;
      world.tokens.set(token, permission);
      return token;
    },
    fail: (endpoint, fault, target = {}) => faults.add(endpoint, fault, target),
    clearFaults: () => faults.clear(),
    faultsLeft: () => faults.left(),
    advance(seconds) {
      world.ahead += seconds * 1000;
    },
    async [Symbol.asyncDispose]() {
      for (const server of servers) await server[Symbol.asyncDispose]();
      await rm(world.directory, { recursive: true, force: true });
    },
  };
}
