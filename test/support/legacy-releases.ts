/** Releases as the original project made them (untoreh/trees and untoreh/pine), with the stock tools. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { initRepo, ostree } from './delta-fixture.js';
import { type FakeGithub, type Repository, seedRelease } from './fake-github.js';

export interface LegacyReleases {
  /** The repository that the publisher had, for `commitTree`. */
  readonly repo: string;
  /** A tar with the one delta that leads to a commit. */
  readonly tarOf: (to: string, ...args: string[]) => Buffer;
  /** As `package_tree` of the original project's scripts: the fifth word of `ostree ls -Cd`. */
  readonly sumOf: (commit: string) => Buffer;
  readonly publish: (repository: Repository, tag: string, files: Record<string, Buffer>) => Promise<void>;
  /** What `trees` needs to know to find the releases, and no token. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** @param dir for working files */
export function createLegacyReleases(dir: string, github: FakeGithub): LegacyReleases {
  const repo = initRepo(join(dir, 'legacy'));
  return {
    repo,
    tarOf: (to, ...args) => {
      const work = mkdtempSync(join(dir, 'work-'));
      const options = ['--inline', '--min-fallback-size=0', `--filename=${join(work, to)}`, `--to=${to}`];
      ostree('static-delta', 'generate', `--repo=${repo}`, ...options, ...args);
      execFileSync('tar', ['-C', work, '-cf', join(work, 'tar'), to]);
      return readFileSync(join(work, 'tar'));
    },
    sumOf: (commit) => Buffer.from(`${ostree('ls', `--repo=${repo}`, '-Cd', commit).trim().split(/\s+/)[4]}\n`),
    publish: async (repository, tag, files) => {
      await seedRelease(github.world, repository, { tag, files });
    },
    env: {
      GITHUB_SERVER_URL: github.server,
      GITHUB_API_URL: github.api,
      GITHUB_TOKEN: undefined,
      GH_TOKEN: undefined,
    },
  };
}
