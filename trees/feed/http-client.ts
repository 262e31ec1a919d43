import { readFile } from 'node:fs/promises';
import { reasonOf, TreesError } from '../errors.js';
import type { NetworkOptions } from './network.js';

/** What is used of a body; streams of the web have it. */
export interface HttpBody {
  getReader(): {
    read(): Promise<{ done: false; value: Uint8Array } | { done: true; value?: Uint8Array | undefined }>;
    cancel(): Promise<void>;
  };
  cancel(): Promise<void>;
}

/** What is used of a response. */
export interface HttpResponse {
  readonly status: number;
  readonly statusText: string;
  readonly headers: { get(name: string): string | null };
  readonly body: HttpBody | null;
}

export interface HttpRequest {
  readonly headers: Record<string, string>;
  readonly signal: AbortSignal;
}

export interface HttpClient {
  /** GET without following redirects. */
  get(url: URL, request: HttpRequest): Promise<HttpResponse>;
  /** For libraries that bring their own requests. */
  readonly fetch: typeof fetch;
}

/**
 * Node's authorities, those of a file, and those that the environment names: Node forgets the last where it is given a
 * list.
 */
async function readAuthorities(path: string, extra: string | undefined): Promise<string[]> {
  try {
    const own = await readFile(path, 'utf8');
    // As Node does, which only warns.
    const others = extra === undefined ? '' : await readFile(extra, 'utf8').catch(() => '');
    // Here, because looking at the list makes it: 150 certificates that hardly anybody needs as text.
    const { rootCertificates } = await import('node:tls');
    return [...rootCertificates, own, ...(others === '' ? [] : [others])];
  } catch (error) {
    throw new TreesError('CONFIG_INVALID', `cannot read the CA file ${path}: ${reasonOf(error)}`, {
      hint: 'network.ca names a PEM file with certificates',
      cause: error,
    });
  }
}

/**
 * A proxy's URL; as with curl, one without a scheme is http.
 * @returns empty for none: undici would look into the environment itself if it were undefined
 */
function proxyUrl(value: string | undefined): string {
  if (value === undefined) return '';
  const text = value.includes('://') ? value : `http://${value}`;
  if (URL.canParse(text) && ['http:', 'https:'].includes(new URL(text).protocol)) return text;
  // Without its user name and password.
  throw new TreesError(
    'CONFIG_INVALID',
    `cannot use the proxy "${text.replace(/\/\/.*@/, '//')}": it is no http or https URL`,
    {
      hint: 'correct HTTPS_PROXY, HTTP_PROXY or ALL_PROXY',
    },
  );
}

/**
 * Node 20's own fetch knows neither proxies nor further authorities; undici's does, but takes 70 ms to load, so that
 * only those who need it pay for it.
 */
async function createFetch({ proxy, ca, extraCa }: NetworkOptions): Promise<typeof fetch> {
  if (proxy === undefined && ca === undefined) return fetch;
  const { default: undici } = await import('undici');
  const tls = ca === undefined ? {} : { ca: await readAuthorities(ca, extraCa) };
  const dispatcher =
    proxy === undefined
      ? new undici.Agent({ connect: tls })
      : new undici.EnvHttpProxyAgent({
          httpProxy: proxyUrl(proxy.http),
          httpsProxy: proxyUrl(proxy.https),
          noProxy: proxy.no ?? '',
          connect: tls,
          requestTls: tls,
          proxyTls: tls,
          // As curl does: proxies often refuse to open tunnels to port 80.
          proxyTunnel: false,
        });
  const proxied = async (input: unknown, init?: object): Promise<unknown> =>
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- only strings, URLs and plain options are ever passed
    await undici.fetch(input as URL, { ...init, dispatcher });
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the same interface, declared twice: @types/node has undici 6, this is undici 7
  return proxied as typeof fetch;
}

const clients = new WeakMap<NetworkOptions, Promise<HttpClient>>();

/** The client for these options, one for all who pass the same object, so that connections are shared. */
export async function httpClient(network: NetworkOptions): Promise<HttpClient> {
  const known = clients.get(network);
  if (known !== undefined) return await known;
  const made = createFetch(network).then(
    (send): HttpClient => ({
      fetch: send,
      get: async (url, request) => {
        // As for `createFetch`: only undici can do more than this.
        if (send !== fetch) return await send(url.href, { ...request, redirect: 'manual' });
        const { nodeGet } = await import('./node-get.js');
        return await nodeGet(url, request);
      },
    }),
  );
  clients.set(network, made);
  return await made;
}
