/**
 * Installs an app, to be killed while it does: install-child.ts ROOT APP. Says "ready" once everything is loaded and
 * "done" when it is installed.
 */
import { loadNative } from '../../trees/native-loader.js';
import { installApp } from '../../trees/store/install.js';
import { ARCH } from './plain-publisher.js';

const [root = '', app = ''] = process.argv.slice(2);
for (const name of ['system', 'ostree', 'delta', 'store'] as const) loadNative(name);
process.stdout.write('ready\n');
const result = await installApp({ root, app, arch: ARCH, lockTimeout: 60, command: `install ${app}` });
process.stdout.write(`done ${result.generation.number}\n`);
