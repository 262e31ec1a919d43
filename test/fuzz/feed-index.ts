/**
 * Looks for indexes that upset the parser, led by coverage: node --import tsx test/fuzz/feed-index.ts [SECONDS]
 * What covers blocks of source that nothing before did is kept in corpus/feed-index, which the tests replay.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openCoverage } from '../support/coverage.js';
import { bundle, checksum, createFeedFixture, makeIndex } from '../support/feed-fixture.js';
import { type Change, changedIndex, changeKinds, outcomeOf } from '../support/index-mutations.js';

const corpus = join(import.meta.dirname, 'corpus', 'feed-index');
const seconds = Number(process.argv[2] ?? 60);
const random = (below: number): number => Math.floor(Math.random() * below);
const anyChange = (): Change => [changeKinds[random(changeKinds.length)] ?? 'value', random(10_000), random(10_000)];

function parsed(bytes: Buffer): object | undefined {
  try {
    const value: unknown = JSON.parse(bytes.toString());
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

await using fixture = await createFeedFixture();
await using coverage = await openCoverage(/\/trees\/feed\/|\/node_modules\/semver\/|\/node_modules\/zod\/v4\/core\//);
const seen = new Set<string>();
/** Has every field there is. */
const full = makeIndex();
const to = checksum('app 3.6.0 x86_64');
const pieces = ['a', 'b'].map((file) => ({ file, size: 5, sha256: checksum(file) }));
full.bundles.push(bundle(checksum('app 3.5.0 x86_64'), to, { pieces, tail: 4, release: 'v1', encoding: 'small' }));
for (const { versions } of [...Object.values(full.bases), ...Object.values(full.apps)]) {
  for (const version of versions) version.channel = 'edge';
}
/** What changes are made to; those that are accepted lead deeper, and are taken as often as all others. */
const accepted: object[] = [full];
const refused: object[] = [makeIndex()];
const outcomes = new Map<string, number>();

/** Whether these bytes cover something new; if so, they are changed further. */
async function look(bytes: Buffer): Promise<boolean> {
  let outcome = '';
  const blocks = await coverage.measure(() => {
    outcome = outcomeOf(bytes, fixture);
  });
  outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  const before = seen.size;
  for (const block of blocks) seen.add(block);
  if (seen.size === before) return false;
  const document = parsed(bytes);
  if (document !== undefined) (outcome === 'accepted' ? accepted : refused).push(document);
  return true;
}

mkdirSync(corpus, { recursive: true });
await look(changedIndex(full, []));
// Smallest first, and only what still adds something: the corpus stays as small as its coverage allows.
const kept = readdirSync(corpus).map((name) => ({ name, bytes: readFileSync(join(corpus, name)) }));
for (const { name, bytes } of kept.sort((a, b) => a.bytes.length - b.bytes.length)) {
  if (!(await look(bytes))) rmSync(join(corpus, name));
}

const end = Date.now() + seconds * 1000;
let runs = 0;
let lastNew = 0;
while (Date.now() < end) {
  const from = random(2) === 0 ? accepted : refused;
  const bytes = changedIndex(from[random(from.length)] ?? full, Array.from({ length: 1 + random(3) }, anyChange));
  runs += 1;
  if (bytes.length > 20_000 || !(await look(bytes))) continue;
  lastNew = runs;
  writeFileSync(join(corpus, createHash('sha256').update(bytes).digest('hex').slice(0, 16)), bytes);
}
const found = [...outcomes].map(([outcome, count]) => `${outcome} ${count}`).join(', ');
process.stdout.write(`${runs} runs, ${seen.size} blocks, the last new one at run ${lastNew}; ${found}\n`);
