import { removeTree } from '../store/files.js';
import { checkBuilding } from './building.js';
import { checkKernel } from './kernel.js';
import { checkProgram } from './program.js';
import { type CheckResult, missing } from './result.js';
import { checkFileSystem, checkStore, probeDirectory } from './store.js';

export type { CheckResult } from './result.js';

export interface CheckInput {
  /** `settings.root` */
  readonly root: string;
  /** The caller's `PATH`. */
  readonly path: string;
}

/** Looks at everything that trees needs of this machine, by trying it. Leaves nothing behind. */
export async function checkMachine({ root, path }: CheckInput): Promise<CheckResult[]> {
  const asRoot = process.geteuid?.() === 0;
  const results = [...(await checkProgram()), ...(await checkStore(root))];
  const directory = probeDirectory(root);
  if (directory === undefined) {
    results.push(missing('store', 'file-system', `nothing can be written at ${root}`, 'run as root, or use --user'));
  } else {
    try {
      results.push(...(await checkKernel(directory, asRoot)), ...checkFileSystem(directory, asRoot));
    } finally {
      await removeTree(directory);
    }
  }
  const order: readonly CheckResult['group'][] = ['program', 'store', 'kernel', 'building'];
  return [...results, ...checkBuilding(path)].sort((a, b) => order.indexOf(a.group) - order.indexOf(b.group));
}
