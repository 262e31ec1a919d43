/** How the network is reached. Everything is optional: without it, directly and anonymously. */
export interface NetworkOptions {
  readonly github?: GithubAccess | undefined;
  readonly proxy?: ProxySettings | undefined;
  /** PEM file with certificates of authorities to trust besides Node's own. */
  readonly ca?: string | undefined;
  /** A second such file, which Node looks at by itself where `ca` is not given: `NODE_EXTRA_CA_CERTS`. */
  readonly extraCa?: string | undefined;
  /** Seconds until a server has to answer, and for which it may be silent after that; default 30. */
  readonly timeout?: number | undefined;
  /** How often something that may pass is tried again; default 4. */
  readonly retries?: number | undefined;
  /** Milliseconds before the first retry; doubled for each further one; default 250. */
  readonly firstPause?: number | undefined;
}

export interface GithubAccess {
  /** Web server without a final slash; default `https://github.com`. */
  readonly server?: string | undefined;
  /** Base URL of the REST API without a final slash; default: the one that belongs to `server`. */
  readonly api?: string | undefined;
  /** Only for the API. A function, so that no listing of settings and no dump of an object ever shows it. */
  readonly token?: (() => string) | undefined;
}

/** Proxy URLs, as in the environment variables `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`. */
export interface ProxySettings {
  readonly http?: string | undefined;
  readonly https?: string | undefined;
  readonly no?: string | undefined;
}

const PUBLIC = { server: 'https://github.com', api: 'https://api.github.com' } as const;

export interface GithubUrls {
  readonly server: string;
  readonly api: string;
}

function withoutSlash(url: string): string {
  return url.replace(/\/+$/, '');
}

/**
 * The addresses of a GitHub. One follows from the other: GitHub Enterprise Server has its API below `/api/v3` of the
 * web server (https://docs.github.com/enterprise-server/rest/enterprise-admin).
 */
export function githubUrls({ server, api }: Pick<GithubAccess, 'server' | 'api'> = {}): GithubUrls {
  if (server !== undefined) {
    const web = withoutSlash(server);
    if (api !== undefined) return { server: web, api: withoutSlash(api) };
    return { server: web, api: web === PUBLIC.server ? PUBLIC.api : `${web}/api/v3` };
  }
  if (api === undefined || withoutSlash(api) === PUBLIC.api) return PUBLIC;
  return { server: withoutSlash(api).replace(/\/api\/v3$/, ''), api: withoutSlash(api) };
}
