import { formatBytes } from '../trees/cli/render/format.js';
import { encodePublicKey, fingerprint, type PublicKey } from '../trees/feed/minisign.js';
import type { FeedIndex } from '../trees/feed/schema.js';
import { type CatalogEntry, type CatalogVersion, catalogOf } from './catalog.js';
import { CATALOG_STYLE } from './catalog-style.js';
import { type Html, html } from './html.js';

export interface CatalogFeed {
  /** Headline of the page. */
  readonly title: string;
  /** What users give to `trees feed add`. */
  readonly url: string;
  readonly index: FeedIndex;
  /** Keys that are good for the index; the first is the one to add the feed with. */
  readonly keys: readonly [PublicKey, ...PublicKey[]];
}

const NONE: Html = html``;

const day = (time: string): Html => html`<time datetime="${time}">${time.slice(0, 10)}</time>`;

const edgeMark = ({ channel }: CatalogVersion): Html =>
  channel === 'edge' ? html` <span class="mark" title="install with --channel edge">edge</span>` : NONE;

const downloadOf = ({ download }: CatalogVersion): string => (download === undefined ? '–' : formatBytes(download));

function versionRows(versions: readonly CatalogVersion[]): Html {
  return html`<table>
<thead><tr><th scope="col">Version</th><th scope="col">Architecture</th><th scope="col">Released</th>
<th scope="col" class="number">Download</th><th scope="col" class="number">Installed</th></tr></thead>
<tbody>${versions.map(
    (version) => html`<tr><td>${version.version}${edgeMark(version)}</td><td>${version.arch}</td>
<td>${day(version.released)}</td><td class="number">${downloadOf(version)}</td>
<td class="number">${formatBytes(version.size)}</td></tr>
`,
  )}</tbody></table>`;
}

function card({ name, summary, versions }: CatalogEntry, command: Html): Html {
  const [newest] = versions;
  if (newest === undefined) return NONE;
  const architectures = [...new Set(versions.map(({ arch }) => arch))].join(', ');
  const facts: ReadonlyArray<readonly [string, string | Html]> = [
    ['Download', downloadOf(newest)],
    ['Installed', formatBytes(newest.size)],
    ['Released', day(newest.released)],
    ...(newest.base === undefined ? [] : [['Base', newest.base] as const]),
    ['For', architectures],
  ];
  return html`<article id="${name}">
<header><h3><a href="#${name}">${name}</a></h3><p class="version">${newest.version}${edgeMark(newest)}</p></header>
<p>${summary}</p>
<dl>${facts.map(([term, value]) => html`<div><dt>${term}</dt><dd>${value}</dd></div>`)}</dl>
${command}
<details><summary>${versions.length === 1 ? '1 version' : `${versions.length} versions`}</summary>
<div class="scroll">${versionRows(versions)}</div></details>
</article>
`;
}

function installCommand({ name, versions }: CatalogEntry): Html {
  // Without a settled version the plain command would find nothing.
  const edge = versions.every(({ channel }) => channel === 'edge');
  return html`<pre><code>trees install ${name}${edge ? ' --channel edge' : ''}</code></pre>`;
}

function section(id: string, title: string, entries: readonly CatalogEntry[], command: typeof installCommand): Html {
  if (entries.length === 0) return NONE;
  return html`<section aria-labelledby="${id}">
<h2 id="${id}">${title} <span class="count">${entries.length}</span></h2>
<div class="cards">
${entries.map((entry) => card(entry, command(entry)))}</div>
</section>
`;
}

/** In single quotes where a shell would take a plain word apart. */
const shellWord = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;

function howToAdd({ url, keys }: CatalogFeed): Html {
  const [key] = keys;
  return html`<section class="add" aria-labelledby="add">
<h2 id="add">Add this feed</h2>
<pre><code>trees feed add ${shellWord(url)} --key ${encodePublicKey(key)}</code></pre>
<p>Everything in it is signed. Compare the fingerprint with one that you got from the publisher in another way:</p>
<dl class="keys">${keys.map(
    (each) => html`<div><dt>Key ${each.id}</dt><dd><code>${fingerprint(each)}</code></dd></div>`,
  )}</dl>
</section>
`;
}

/**
 * The page that shows people what a feed offers and how to use it: one file, no scripts, nothing loaded from elsewhere.
 * @returns an HTML document
 */
export function catalogPage(feed: CatalogFeed): string {
  const { title, url, index } = feed;
  const { apps, bases } = catalogOf(index);
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="trees">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${title}</title>
<style>${{ html: CATALOG_STYLE }}</style>
</head>
<body>
<header class="page"><h1>${title}</h1>
<p>Apps for <code>trees</code>, from <code>${url}</code>.</p></header>
<main>
${howToAdd(feed)}${section('apps', 'Apps', apps, installCommand)}${section('bases', 'Bases', bases, () => NONE)}</main>
<footer><p>Index ${index.sequence} of ${day(index.created)}, valid until ${day(index.expires)}.
Download: bytes to fetch where the app's base is installed already.</p></footer>
</body>
</html>
`;
  return page.html;
}
