import { TreesError, usageError } from '../trees/errors.js';
import type { NetworkOptions } from '../trees/feed/network.js';
import { parseFeedUrl } from '../trees/feed/url.js';
import type { Reporter } from '../trees/reporter.js';
import type { Destination } from './destination.js';
import { directoryDestination } from './directory-destination.js';
import type { ScratchOptions } from './scratch.js';

export interface OpenDestinationOptions extends ScratchOptions {
  readonly cwd: string;
  /** Directory for what a publisher remembers: `<settings.root>/build`. */
  readonly build: string;
  readonly network: NetworkOptions;
  readonly reporter: Reporter;
}

/**
 * @param to `dir:PATH` or `github:OWNER/REPO`
 * @throws TreesError USAGE, UNSUPPORTED for a feed that can only be read
 */
export async function openDestination(to: string | undefined, options: OpenDestinationOptions): Promise<Destination> {
  if (to === undefined) {
    throw usageError(
      'Expected --to to say where to publish',
      'for example --to github:owner/repo or --to dir:/srv/feed, or set release.to',
    );
  }
  const url = parseFeedUrl(to, options.cwd);
  switch (url.scheme) {
    case 'dir':
      return directoryDestination(url.path, options);
    case 'github': {
      // Octokit costs milliseconds that publishing to a directory need not pay.
      const { githubDestination } = await import('./github/destination.js');
      return githubDestination(url, options);
    }
    case 'http':
    case 'legacy':
      throw new TreesError('UNSUPPORTED', `cannot publish to ${url.href}: only dir: and github: feeds can be`, {
        hint: 'publish to a directory, then serve or upload its files; clients read https: feeds',
      });
  }
}
