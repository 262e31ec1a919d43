/** Removes an app, to be killed while it does: remove-child.ts ROOT APP. Says "ready" once everything is loaded. */
import { loadNative } from '../../trees/native-loader.js';
import { removeApp } from '../../trees/store/remove.js';

const [root = '', name = ''] = process.argv.slice(2);
for (const name of ['system', 'ostree', 'delta', 'store'] as const) loadNative(name);
process.stdout.write('ready\n');
await removeApp({ root, name, purge: false, force: false, lockTimeout: 60, command: `remove ${name}` });
