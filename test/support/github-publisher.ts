import type { Destination } from '../../releases/destination.js';
import { githubDestination } from '../../releases/github/destination.js';
import type { Pace } from '../../releases/github/retry.js';
import type { NetworkOptions } from '../../trees/feed/network.js';
import { type Reporter, silentReporter } from '../../trees/reporter.js';
import {
  createFakeGithub,
  type FakeGithub,
  type FakeGithubOptions,
  type Repository,
  type RepositoryOptions,
} from './fake-github.js';

/** A GitHub with one repository and a token that may write to it. */
export interface GithubFixture extends AsyncDisposable {
  readonly github: FakeGithub;
  readonly repository: Repository;
  readonly token: string;
  readonly network: NetworkOptions;
  /** Environment for the real binary as a publisher. */
  readonly env: Readonly<Record<string, string>>;
  destination(build: string, options?: DestinationOptions): Destination;
  /** Tags of the releases that are out, oldest first. */
  published(): string[];
  drafts(): number;
}

export interface DestinationOptions {
  readonly assetLimit?: number;
  readonly assetsPerRelease?: number;
  readonly reporter?: Reporter;
  readonly pace?: Partial<Pace>;
  readonly signal?: AbortSignal;
  readonly network?: NetworkOptions;
}

/** Waits that tests can afford. */
const QUICK: Partial<Pace> = { retryPause: 5, limitPause: 20, writePause: 0, poll: 50 };

export const FEED = { owner: 'me', repo: 'feed', href: 'github:me/feed' } as const;

export async function createGithubFixture(
  options: FakeGithubOptions = {},
  repositoryOptions: RepositoryOptions = {},
): Promise<GithubFixture> {
  const github = await createFakeGithub(options);
  const repository = github.createRepository(FEED.owner, FEED.repo, repositoryOptions);
  const token = github.createToken('write');
  const network = { github: { server: github.server, api: github.api, token: () => token } };
  const releases = () => [...repository.releases.values()];
  return {
    github,
    repository,
    token,
    network,
    env: { GITHUB_SERVER_URL: github.server, GITHUB_API_URL: github.api, GITHUB_TOKEN: token },
    destination: (build, { pace, ...rest } = {}) =>
      githubDestination(FEED, {
        build,
        network,
        lockTimeout: 60,
        reporter: silentReporter,
        pace: { ...QUICK, ...pace },
        ...rest,
      }),
    published: () =>
      releases()
        .filter(({ draft }) => !draft)
        .map(({ tag }) => tag),
    drafts: () => releases().filter(({ draft }) => draft).length,
    [Symbol.asyncDispose]: async () => await github[Symbol.asyncDispose](),
  };
}
