import { TreesError } from '../../trees/errors.js';
import type { NetworkOptions } from '../../trees/feed/network.js';
import type { GithubApi } from './api.js';

/**
 * Finds out before any work whether publishing can succeed.
 * @throws TreesError RELEASE_FAILED without a token, without the repository, or without the right to write to it
 */
export async function checkAccess(api: GithubApi, network: NetworkOptions): Promise<void> {
  if (network.github?.token === undefined) {
    throw new TreesError('RELEASE_FAILED', `cannot publish to ${api.url}: there is no token`, {
      hint: 'set GITHUB_TOKEN to one that may write the contents of the repository',
    });
  }
  const { owner, repo } = api;
  const { data } = await api.call('read the repository', async ({ rest }) => await rest.repos.get({ owner, repo }));
  const forbid = (why: string, hint: string): TreesError =>
    new TreesError('RELEASE_FAILED', `cannot publish to ${api.url}: ${why}`, { hint });
  if (data.archived) throw forbid('the repository is archived', 'unarchive it, or publish to another one');
  if (data.permissions?.push === false) {
    throw forbid('the token may not write to it', 'it needs write permission for the contents of the repository');
  }
}
