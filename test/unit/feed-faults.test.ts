import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { TreesError } from '../../trees/errors.js';
import { fetchBundle } from '../../trees/feed/download.js';
import { addFeed } from '../../trees/feed/feeds.js';
import type { NetworkOptions } from '../../trees/feed/network.js';
import { createCertificate } from '../support/certificate.js';
import type { Fault } from '../support/fake-github.js';
import { BUNDLE_FILE, createGithubFeed, type GithubFeed } from '../support/github-feed.js';
import { type Listening, listen } from '../support/listen.js';

/**
 * Each fault that a network or GitHub can come up with, against each kind of file, through the real redirects: once,
 * where reading has to recover if that is possible at all, and for good, where it has to end in the right error.
 */

const files = { index: 'index.json', signature: 'index.json.minisig', bundle: BUNDLE_FILE } as const;
type Kind = keyof typeof files;

/** `whole` or the code of the error, with its reason. */
type Outcome = string;
type Expected = Outcome | Readonly<Record<Kind, Outcome>>;

interface Row {
  readonly name: string;
  /** In order; the last one is the one that goes on when it does not stop. */
  readonly faults: (kind: Kind) => readonly Fault[];
  readonly network?: NetworkOptions;
  readonly once: Expected;
  readonly always: Expected;
}

const unreachable = (reason: string): Outcome => `FEED_UNREACHABLE ${reason}`;

/** What is not signed right is asked for again, as the publisher may just be switching. */
const unsigned = { index: 'SIGNATURE_INVALID', signature: 'SIGNATURE_INVALID' } as const;

let feed: GithubFeed;
let untrusted: Listening;
const table: string[][] = [];

before(async () => {
  feed = await createGithubFeed();
  untrusted = await serveUntrusted();
});
after(async () => {
  await untrusted[Symbol.asyncDispose]();
  await feed[Symbol.asyncDispose]();
});

/** An https server that nobody has a reason to trust. */
async function serveUntrusted(): Promise<Listening> {
  return await listen(createServer(await createCertificate(), (_, response) => response.end()));
}

function rows(): readonly Row[] {
  const impatient = { ...feed.network, timeout: 0.4, retries: 2 };
  const half = { index: 100, signature: 100, bundle: 130_000 };
  return [
    {
      name: '403 rate limit, over at once',
      faults: () => [{ kind: 'rate-limit', reset: 0 }],
      once: 'whole',
      always: unreachable('rate-limit'),
    },
    {
      name: '403 rate limit for an hour',
      faults: () => [{ kind: 'rate-limit' }],
      once: unreachable('rate-limit'),
      always: unreachable('rate-limit'),
    },
    {
      name: '403 secondary rate limit',
      faults: () => [{ kind: 'secondary-limit', retryAfter: 0 }],
      once: 'whole',
      always: unreachable('rate-limit'),
    },
    {
      name: '429 with Retry-After',
      faults: () => [{ kind: 'status', status: 429, retryAfter: 0 }],
      once: 'whole',
      always: unreachable('rate-limit'),
    },
    ...[500, 502, 503].map(
      (status): Row => ({
        name: String(status),
        faults: () => [{ kind: 'status', status }],
        once: 'whole',
        always: unreachable('server'),
      }),
    ),
    {
      name: '502 with a longer Retry-After than anybody waits',
      faults: () => [{ kind: 'status', status: 502, retryAfter: 3600 }],
      once: unreachable('server'),
      always: unreachable('server'),
    },
    {
      name: 'no answer',
      faults: () => [{ kind: 'hang' }],
      network: impatient,
      once: 'whole',
      always: unreachable('timeout'),
    },
    {
      name: 'reset before the answer',
      faults: () => [{ kind: 'reset' }],
      once: 'whole',
      always: unreachable('connection'),
    },
    {
      name: 'reset mid-body',
      faults: (kind) => [{ kind: 'reset', after: half[kind] }],
      once: 'whole',
      // Every attempt brings the bundle a little further: in the end all of it is there.
      always: { index: unreachable('connection'), signature: unreachable('connection'), bundle: 'whole' },
    },
    {
      name: 'stall',
      faults: (kind) => [{ kind: 'stall', after: half[kind] }],
      network: impatient,
      once: 'whole',
      always: { index: unreachable('timeout'), signature: unreachable('timeout'), bundle: 'whole' },
    },
    {
      name: 'stall at the first byte',
      faults: () => [{ kind: 'stall', after: 0 }],
      network: impatient,
      once: 'whole',
      always: unreachable('timeout'),
    },
    { name: 'truncated', faults: () => [{ kind: 'truncate', after: 60_000 }], once: 'whole', always: 'whole' },
    {
      name: 'truncated to 100 bytes',
      faults: () => [{ kind: 'truncate', after: 100 }],
      once: 'whole',
      always: { ...unsigned, bundle: 'not tried' },
    },
    {
      name: 'truncated to nothing',
      faults: () => [{ kind: 'truncate', after: 0 }],
      once: 'whole',
      always: { ...unsigned, bundle: 'BUNDLE_CORRUPT' },
    },
    {
      name: '206 → 200',
      faults: (kind) => [{ kind: 'reset', after: half[kind] }, { kind: 'no-range' }],
      once: 'whole',
      always: 'whole',
    },
    {
      name: 'changed asset',
      faults: () => [{ kind: 'changed' }],
      once: { index: 'whole', signature: 'whole', bundle: 'BUNDLE_CORRUPT' },
      always: { ...unsigned, bundle: 'BUNDLE_CORRUPT' },
    },
    {
      name: 'changed asset while resuming',
      faults: (kind) => [{ kind: 'reset', after: half[kind] }, { kind: 'changed' }],
      once: 'whole',
      always: { ...unsigned, bundle: 'BUNDLE_CORRUPT' },
    },
    {
      name: 'expired URL, 403',
      faults: () => [{ kind: 'expired' }],
      once: 'whole',
      always: unreachable('expired-url'),
    },
    {
      name: 'expired URL, 618',
      faults: () => [{ kind: 'expired', status: 618 }],
      once: 'whole',
      always: unreachable('expired-url'),
    },
    {
      name: 'redirect loop',
      faults: () => [{ kind: 'redirect-loop' }],
      once: 'whole',
      always: unreachable('redirect'),
    },
    {
      name: 'redirect to ftp',
      faults: () => [{ kind: 'redirect', to: 'ftp://127.0.0.1/x' }],
      once: unreachable('redirect'),
      always: unreachable('redirect'),
    },
    {
      name: 'TLS error',
      faults: () => [{ kind: 'redirect', to: `${untrusted.origin}/` }],
      once: unreachable('tls'),
      always: unreachable('tls'),
    },
    {
      name: 'DNS failure',
      faults: () => [{ kind: 'redirect', to: 'http://no-such-host.invalid/x' }],
      once: 'name not found',
      always: 'name not found',
    },
    {
      name: 'captive portal, HTML with 200',
      faults: () => [{ kind: 'html' }],
      once: unreachable('login-page'),
      always: unreachable('login-page'),
    },
    { name: 'gzip-encoded body', faults: () => [{ kind: 'gzip' }], once: 'whole', always: 'whole' },
    {
      name: 'gzip-encoded body while resuming',
      faults: (kind) => [{ kind: 'reset', after: half[kind] }, { kind: 'gzip' }],
      once: 'whole',
      always: 'whole',
    },
  ];
}

/** Reads a file of one kind in a place of its own. */
async function read(kind: Kind, network: NetworkOptions): Promise<Outcome> {
  const dir = await mkdtemp(join(tmpdir(), 'trees-fault-'));
  try {
    if (kind === 'bundle') {
      const path = await fetchBundle(feed.open(network), feed.entry, join(dir, 'downloads'));
      assert.ok((await readFile(path)).equals(feed.content), 'a bundle that was said to be whole is not');
      return 'whole';
    }
    const confirm = async (): Promise<boolean> => await Promise.reject(new Error('asked without need'));
    const added = await addFeed(join(dir, 'store'), feed.url, { keys: [feed.fixture.key.public], confirm, network });
    assert.deepEqual(added.index, feed.index);
    return 'whole';
  } catch (error) {
    if (!(error instanceof TreesError)) throw error;
    assert.ok(error.hint !== undefined && error.hint !== '', `${error.code} has no hint`);
    await assertNothingWrong(dir, error);
    const reason = error.details?.['reason'];
    return typeof reason === 'string' ? `${error.code} ${reason}` : error.code;
  } finally {
    await rm(dir, { recursive: true });
  }
}

/** After a failure nothing is stored that was not verified, and what is kept of a bundle is its beginning. */
async function assertNothingWrong(dir: string, error: TreesError): Promise<void> {
  const kept = await readdir(dir, { recursive: true, withFileTypes: true });
  for (const entry of kept.filter((one) => one.isFile() && one.name !== '.lock')) {
    const bytes = await readFile(join(entry.parentPath, entry.name));
    assert.match(entry.name, /\.partial$/, `${error.code} left ${entry.name}`);
    assert.ok(bytes.equals(feed.content.subarray(0, bytes.length)), 'wrong bytes were kept');
  }
}

function isExpected(expected: Expected, kind: Kind, outcome: Outcome): boolean {
  const wanted = typeof expected === 'string' ? expected : expected[kind];
  // A machine without a name server cannot tell that a name does not exist.
  if (wanted === 'name not found') return ['dns', 'connection'].some((reason) => outcome === unreachable(reason));
  return outcome === wanted || (wanted === 'not tried' && outcome === '-');
}

function isTried(expected: Expected, kind: Kind): boolean {
  return typeof expected === 'string' || expected[kind] !== 'not tried';
}

/** The endpoint at which a file of this kind is asked for first. */
const firstEndpoint = (kind: Kind): string => (kind === 'bundle' ? 'web/tag-download' : 'web/latest-download');

function arm(row: Row, kind: Kind, isForGood: boolean): void {
  const faults = row.faults(kind);
  const atDoor = ['rate-limit', 'secondary-limit'].includes(faults[0]?.kind ?? '');
  const endpoint = atDoor ? firstEndpoint(kind) : 'cdn/download';
  for (const [position, fault] of faults.entries()) {
    const times = isForGood && position === faults.length - 1 ? Number.POSITIVE_INFINITY : 1;
    feed.github.fail(endpoint, fault, { file: files[kind], times });
  }
}

/** One row, all kinds at once: each has its own file, and most of the time is waiting. */
async function tryRow(row: Row, isForGood: boolean): Promise<Readonly<Record<Kind, Outcome>>> {
  const expected = isForGood ? row.always : row.once;
  const outcomes: Record<Kind, Outcome> = { index: '-', signature: '-', bundle: '-' };
  const kinds = (['index', 'signature', 'bundle'] as const).filter((kind) => isTried(expected, kind));
  const network = row.network ?? feed.network;
  // Reading the index reads the signature as well: the two must not meet each other's faults.
  for (const together of [kinds.filter((kind) => kind !== 'signature'), kinds.filter((kind) => kind === 'signature')]) {
    for (const kind of together) arm(row, kind, isForGood);
    await Promise.all(
      together.map(async (kind) => {
        outcomes[kind] = await read(kind, network);
      }),
    );
    feed.github.clearFaults();
  }
  return outcomes;
}

describe('faults', () => {
  it('of every kind, in every file, are met', async () => {
    const wrong: string[] = [];
    for (const row of rows()) {
      const once = await tryRow(row, false);
      const always = await tryRow(row, true);
      for (const kind of ['index', 'signature', 'bundle'] as const) {
        table.push([row.name, kind, once[kind], always[kind]]);
        if (!isExpected(row.once, kind, once[kind])) wrong.push(`${row.name}, ${kind}, once: ${once[kind]}`);
        if (!isExpected(row.always, kind, always[kind])) wrong.push(`${row.name}, ${kind}, for good: ${always[kind]}`);
      }
    }
    assert.deepEqual(wrong, []);
    assert.deepEqual(feed.github.violations, []);
    assert.equal(feed.github.count('api'), 0);
  });

  it('end as in this table', (t) => {
    const head = ['fault', 'file', 'once', 'for good'];
    const widths = head.map((_, column) => Math.max(...[head, ...table].map((line) => line[column]?.length ?? 0)));
    for (const line of [head, ...table])
      t.diagnostic(line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  '));
    assert.ok(table.length > 0);
  });

  it('are written down as they are met', async () => {
    const text = await readFile(new URL('../../ARCHITECTURE.md', import.meta.url), 'utf8');
    const cell = (expected: Expected): string => {
      if (typeof expected === 'string') return expected;
      const kinds = (['index', 'signature', 'bundle'] as const).filter((kind) => isTried(expected, kind));
      return kinds.map((kind) => `${kind}: ${expected[kind]}`).join('; ');
    };
    const lines = rows().map(({ name, once, always }) => `| ${name} | ${cell(once)} | ${cell(always)} |`);
    const missing = lines.filter((line) => !text.includes(`${line}\n`));
    assert.deepEqual(missing, [], 'ARCHITECTURE.md, "Reaching a feed"');
  });
});
