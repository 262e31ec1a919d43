// Turns the command's modules into packs (trees/cli/packs): buildPacks(OUT, OPTIONS).
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { build, transform } from 'esbuild';

/** For each group of command lines in trees/cli/packs/warm-up.ts. */
const NAMES = ['list', 'checkout', 'run', 'install', 'rest'];
/** How modules refer to themselves; each is a function that gets it. */
const self = { 'import.meta.url': '__url', 'import.meta.dirname': '__dirname' };
const compact = { minifySyntax: true, minifyWhitespace: true, charset: 'ascii', legalComments: 'none' };

/**
 * Writes the starter, the packs and their caches to `out`.
 * @param options esbuild's, as for the library
 */
export async function buildPacks(out, options) {
  const functions = await moduleFunctions(options);
  // All in one, to see which modules command lines load.
  await writeCommand(out, options, [[...functions.values()]]);
  const list = join(out, 'modules.json');
  warmUp(out, ['--modules', list]);
  const groups = JSON.parse(readFileSync(list, 'utf8'));
  rmSync(out, { recursive: true });

  const packs = NAMES.map(() => []);
  for (const [id, code] of functions) {
    const group = groups.findIndex((ids) => ids.includes(id));
    packs[group < 0 ? packs.length - 1 : group].push(code);
  }
  await writeCommand(out, options, packs);
  mkdirSync(join(out, 'cache'));
  warmUp(out, [join(out, 'cache')]);
}

/** Each module as `"./name.js"(exports,…){…}`. Names have a digest of the content, the order is always the same. */
async function moduleFunctions(options) {
  const { outputFiles } = await build({
    ...options,
    ...compact,
    entryPoints: { main: 'trees/cli/main.ts' },
    outdir: '/',
    write: false,
    splitting: true,
    format: 'esm',
    chunkNames: '[name]-[hash]',
    define: self,
  });
  const functions = new Map();
  for (const { path, text } of outputFiles) {
    const id = `./${basename(path)}`;
    const { code } = await transform(text, { ...compact, format: 'cjs', platform: 'node', target: options.target });
    // import() needs to know where it is called from, which code from a cache does not.
    const body = code.replace(/(?<![.\w$])import\(/g, '__load(');
    functions.set(id, `${JSON.stringify(id)}(exports,require,module,__load,__dirname,__url){${body.trimEnd()}\n}`);
  }
  return new Map([...functions].sort(([a], [b]) => (a < b ? -1 : 1)));
}

async function writeCommand(out, options, packs) {
  const names = [];
  const sources = new Map();
  for (const [at, functions] of packs.entries()) {
    const source = `({\n${functions.join(',\n')}\n})`;
    const digest = createHash('sha256').update(source).digest('hex').slice(0, 12);
    const name = `${NAMES[at]}-${digest}.js`;
    names.push(name);
    sources.set(name, source);
  }
  await build({
    ...options,
    ...compact,
    entryPoints: {
      bin: 'trees/cli/starter.ts',
      'make-caches': 'trees/cli/packs/make-caches.ts',
      'warm-up': 'trees/cli/packs/warm-up.ts',
    },
    outdir: out,
    format: 'cjs',
    define: { ...self, TREES_PACKS: JSON.stringify(names) },
    logOverride: { 'empty-import-meta': 'error' },
  });
  for (const [name, source] of sources) writeFileSync(join(out, name), source, 'latin1');
  // The package is one of ES modules.
  writeFileSync(join(out, 'package.json'), '{"type":"commonjs"}\n');
  chmodSync(join(out, 'bin.js'), 0o755);
}

function warmUp(out, args) {
  execFileSync(process.execPath, [join(out, 'warm-up.js'), ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
}
