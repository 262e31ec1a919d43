import type { Feed } from './feed.js';

/**
 * Opens a feed by URL: `dir:/absolute/path`, `http(s)://…/`, `github:owner/repo`.
 * @throws TreesError USAGE for a malformed or unknown URL
 */
export declare function openFeed(url: string, options?: { githubServer?: string | undefined }): Feed;
