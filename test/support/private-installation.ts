import { cpSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from './rig.js';

/**
 * A copy of the built command, for tests that change its files.
 * @param directory is made
 * @returns path of the binary
 */
export function copyInstallation(directory: string): string {
  const native = join('build', 'Release');
  mkdirSync(join(directory, native), { recursive: true });
  for (const name of ['package.json', 'dist', ...nativeFiles.map((file) => join(native, file))]) {
    cpSync(join(projectRoot, name), join(directory, name), { recursive: true, preserveTimestamps: true });
  }
  for (const name of largeFiles) symlinkSync(join(projectRoot, native, name), join(directory, native, name));
  symlinkSync(join(projectRoot, 'node_modules'), join(directory, 'node_modules'));
  return join(directory, 'dist/cli/bin.js');
}

const largeFiles = ['ostree.node', 'store.node', 'delta.node'];
const nativeFiles = ['system.node', 'trees-launch', 'trees-init'];
