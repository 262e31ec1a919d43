// Bundles the CLI and the library into dist/: build.mjs [--types]
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { buildPacks } from './build-packs.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = join(root, 'dist');
// Built beside and then swapped in, so that a `trees` started meanwhile finds a whole bundle.
const out = join(root, 'build', `dist.${process.pid}`);
mkdirSync(join(root, 'build'), { recursive: true });

const options = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  target: 'node20.19',
  minifySyntax: true,
  legalComments: 'none',
  // yargs' width libraries cost 30 ms of regular expressions at start; these are drop-in replacements.
  alias: { 'string-width': 'fast-string-width', 'wrap-ansi': './scripts/aliases/wrap-ansi.mjs' },
  // typescript: cosmiconfig's TypeScript loader would drag in the compiler; we have our own through jiti.
  external: ['*.node', 'typescript', 'jiti'],
};
await build({
  ...options,
  entryPoints: { index: 'trees/index.ts', 'ostree/index': 'trees/ostree/index.ts' },
  outdir: out,
  splitting: true,
  format: 'esm',
  chunkNames: 'chunks/[name]-[hash]',
  banner: {
    // For bundled CommonJS. Created when it is called: most chunks never do, and making one costs as much as loading them.
    js: "import{createRequire as __treesRequire}from'node:module';const require=(id)=>__treesRequire(import.meta.url)(id);",
  },
});
await buildPacks(join(out, 'cli'), options);

if (process.argv.includes('--types')) {
  execFileSync(
    join(root, 'node_modules', '.bin', 'tsc'),
    ['--project', join(root, 'scripts', 'tsconfig.types.json'), '--outDir', join(out, 'types')],
    { cwd: root, stdio: 'inherit' },
  );
}

const old = `${out}.old`;
if (existsSync(dist)) renameSync(dist, old);
renameSync(out, dist);
rmSync(old, { recursive: true, force: true });
