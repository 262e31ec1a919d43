import { formatBytes } from '../../trees/cli/render/format.js';
import { fingerprint, type PublicKey } from '../../trees/feed/minisign.js';
import type { FeedIndex } from '../../trees/feed/schema.js';

type Group = Readonly<
  Record<string, { readonly versions: ReadonlyArray<{ version: string; arch: string; commit: string; size: number }> }>
>;

function newVersions(now: Group, before: Group): string[] {
  return Object.entries(now).flatMap(([name, { versions }]) => {
    const known = new Set(
      (Object.hasOwn(before, name) ? before[name] : undefined)?.versions.map(({ commit }) => commit),
    );
    return versions
      .filter(({ commit }) => !known.has(commit))
      .map(({ version, arch, size }) => `| ${name} | ${version} | ${arch} | ${formatBytes(size)} |`);
  });
}

/** Text of a release, in Markdown: what is new, and how to use the feed. */
export function releaseNotes(
  index: FeedIndex,
  previous: FeedIndex | undefined,
  { url, key }: { readonly url: string; readonly key: PublicKey },
): string {
  const rows = [...newVersions(index.bases, previous?.bases ?? {}), ...newVersions(index.apps, previous?.apps ?? {})];
  const news =
    rows.length === 0
      ? 'No new versions.'
      : `| new | version | architecture | unpacked |\n|---|---|---|---|\n${rows.join('\n')}`;
  return [
    news,
    '',
    '```sh',
    `trees feed add ${url}   # key ${key.id}, fingerprint ${fingerprint(key)}`,
    '```',
    '',
    'These files are for `trees`, not for downloading by hand. Every bundle is also an OSTree static delta:',
    '`zstd -d B.delta.zst && ostree static-delta apply-offline B.delta`.',
  ].join('\n');
}
