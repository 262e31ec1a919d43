/** Takes a lock, says so and holds it until it is killed: hold-lock.ts PATH shared|exclusive */
import { tryLock } from '../../trees/store/locks.js';

const [path = '', kind] = process.argv.slice(2);
const lock = tryLock(path, kind === 'shared' ? 'shared' : 'exclusive', 'hold it');
if (lock === undefined) throw new Error(`${path} is held already`);
process.stdout.write('held\n');
setInterval(() => lock.path, 1000);
