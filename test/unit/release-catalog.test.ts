import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { catalogOf } from '../../releases/catalog.js';
import { catalogPage } from '../../releases/catalog-page.js';
import { html } from '../../releases/html.js';
import type { FeedIndex } from '../../trees/feed/schema.js';

const sum = (digit: string): string => digit.repeat(64);
const content = { size: 25_000_000, files: 10, released: '2026-11-01T10:00:00.000Z' };

function sampleIndex(summary = 'key-value store'): FeedIndex {
  const base = { name: 'deb', range: '^12.0.0', tested: '12.9.0', tree: sum('e') };
  return {
    schema: 1,
    feed: 'test',
    sequence: 7,
    created: '2026-11-02T10:00:00.000Z',
    expires: '2027-01-31T10:00:00.000Z',
    bases: {
      deb: {
        summary: 'Debian',
        versions: [{ version: '12.9.0', arch: 'x86_64', commit: sum('a'), ...content, size: 175_000_000 }],
      },
    },
    apps: {
      redis: {
        summary,
        versions: [{ version: '7.0.0', arch: 'x86_64', channel: 'edge', commit: sum('d'), base, ...content }],
      },
      etcd: {
        summary: 'coordination',
        versions: [
          { version: '3.5.1', arch: 'x86_64', commit: sum('c'), base, ...content },
          { version: '3.5.0', arch: 'x86_64', commit: sum('b'), base, ...content },
        ],
      },
    },
    bundles: [
      { from: null, to: sum('a'), size: 40_000_000 },
      { from: sum('a'), to: sum('b'), size: 9_000_000 },
      { from: sum('b'), to: sum('c'), size: 200_000 },
      { from: null, to: sum('c'), size: 50_000_000 },
    ].map((bundle, number) => ({
      ...bundle,
      file: `${number}.delta.zst`,
      encoding: 'fast',
      sha256: sum(String(number)),
      rawSize: 1,
      writes: 1,
    })),
  };
}

const key = { id: 'A1B2C3D4E5F60718', key: new Uint8Array(32) };

describe('catalog', () => {
  it('sorts by name and tells what each version costs to fetch on its base', () => {
    const { apps, bases } = catalogOf(sampleIndex());
    assert.deepEqual(
      apps.map(({ name, versions }) => [name, versions.map(({ version, download }) => [version, download])]),
      [
        [
          'etcd',
          [
            ['3.5.1', 9_200_000],
            ['3.5.0', 9_000_000],
          ],
        ],
        ['redis', [['7.0.0', undefined]]],
      ],
    );
    assert.deepEqual(
      bases.map(({ versions }) => versions.map(({ download }) => download)),
      [[40_000_000]],
    );
  });

  it('escapes what comes from the index, and quotes the address for a shell', () => {
    const index = sampleIndex('<script>alert("x")</script> & \'more\'');
    const page = catalogPage({ title: '<b>mine', url: "dir:/srv/it's here", index, keys: [key] });
    assert.doesNotMatch(page, /<script|<b>mine/);
    assert.match(page, /&lt;script&gt;alert\(&quot;x&quot;\)&lt;\/script&gt; &amp; &#39;more&#39;/);
    assert.match(page, /trees feed add &#39;dir:\/srv\/it&#39;\\&#39;&#39;s here&#39; --key /);
  });

  it('names the channel where only edge has the app', () => {
    const page = catalogPage({ title: 'Apps', url: 'github:me/feed', index: sampleIndex(), keys: [key] });
    assert.match(page, /<code>trees install etcd<\/code>/);
    assert.match(page, /<code>trees install redis --channel edge<\/code>/);
    assert.match(page, new RegExp(key.id));
  });

  it('keeps nested templates as they are and escapes the rest', () => {
    assert.equal(html`<p>${html`<b>${'<'}</b>`}${[html`1`, html`2`]}${3}</p>`.html, '<p><b>&lt;</b>123</p>');
  });
});
