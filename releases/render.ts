import { formatBytes, formatTable } from '../trees/cli/render/format.js';
import type { BundleEntry, FeedIndex } from '../trees/feed/schema.js';
import type { ReleaseResult } from './release.js';

const short = (checksum: string | null): string => checksum?.slice(0, 12) ?? 'nothing';

/** What a commit is called: `etcd 3.5.0`. */
export function namesOf({ bases, apps }: FeedIndex): (commit: string | null) => string {
  const names = new Map<string, string>();
  for (const group of [bases, apps]) {
    for (const [name, { versions }] of Object.entries(group)) {
      for (const { commit, version } of versions) names.set(commit, `${name} ${version}`);
    }
  }
  return (commit) => (commit === null ? 'nothing' : (names.get(commit) ?? short(commit)));
}

function tableOf({ made, reused, index }: ReleaseResult, dryRun: boolean): string {
  const nameOf = namesOf(index);
  const row = (state: string, { from, to, file, size }: BundleEntry): string[] => [
    state,
    `${nameOf(from)} → ${nameOf(to)}`,
    file,
    formatBytes(size),
  ];
  const rows = [
    ...made.map((bundle) => row(dryRun ? 'to make' : 'new', bundle)),
    ...reused.map((bundle) => row('kept', bundle)),
  ];
  return formatTable(
    [{ title: 'bundle' }, { title: 'way' }, { title: 'file' }, { title: 'size', align: 'right' }],
    rows,
  );
}

const total = (bundles: readonly BundleEntry[]): number => bundles.reduce((sum, { size }) => sum + size, 0);

export function releaseText(result: ReleaseResult, url: string, dryRun: boolean): string {
  const { status, index, made, declined, pruned } = result;
  if (status === 'unchanged') return `${url}: unchanged, index ${index.sequence}\n`;
  const verb = dryRun ? `would be ${status}` : status;
  const lines = [`${url}: ${verb}, index ${index.sequence}, expires ${index.expires.slice(0, 10)}`];
  if (made.length > 0) {
    const what = dryRun ? 'to upload' : 'uploaded';
    lines.push(`${made.length} new ${made.length === 1 ? 'bundle' : 'bundles'}, ${formatBytes(total(made))} ${what}`);
  }
  if (declined.length > 0) lines.push(`${declined.length} more would save too little`);
  if (pruned.length > 0) lines.push(`deleted ${pruned.length} that nobody needs any more`);
  return `${lines.join('\n')}\n${tableOf(result, dryRun)}`;
}

interface Listed {
  readonly version: string;
  readonly arch: string;
  readonly commit: string;
  readonly channel?: string | undefined;
}

export function releaseJson(result: ReleaseResult, url: string, dryRun: boolean) {
  const { status, index, made, reused, declined, pruned } = result;
  const versions = (group: Readonly<Record<string, { versions: readonly Listed[] }>>) =>
    Object.entries(group).map(([name, entry]) => ({
      name,
      versions: entry.versions.map(({ version, arch, commit, channel = 'stable' }) => {
        return { version, arch, commit, channel };
      }),
    }));
  return {
    dryRun,
    feed: url,
    status,
    id: index.feed,
    sequence: index.sequence,
    created: index.created,
    expires: index.expires,
    bases: versions(index.bases),
    apps: versions(index.apps),
    upload: total(made),
    made,
    reused,
    declined: declined.map(({ from, to, name, version, arch }) => ({ from, to, name, version, arch })),
    pruned,
  };
}
