import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { eventually } from './container.js';

const PERL = '/usr/bin/perl';

/** Why `hearDatagrams` cannot be used, or false. */
export const missingForDatagrams = existsSync(PERL) ? false : 'needs perl';

export interface Receiver extends Disposable {
  /** All that was sent so far. */
  readonly heard: () => string;
}

/** Listens at the path of a socket as a service manager does. Node has no datagram sockets of the Unix family. */
export async function hearDatagrams(address: string): Promise<Receiver> {
  const program = `socket(S, AF_UNIX, SOCK_DGRAM, 0); bind(S, pack_sockaddr_un($ARGV[0])) or die;
    $| = 1; while (1) { recv(S, $text, 4096, 0); print $text; }`;
  const child = spawn(PERL, ['-MSocket', '-e', program, address], { stdio: ['ignore', 'pipe', 'inherit'] });
  let heard = '';
  child.stdout.on('data', (chunk: Buffer) => (heard += chunk.toString()));
  try {
    await eventually(() => existsSync(address), 'the receiver listens');
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
  return { heard: () => heard, [Symbol.dispose]: () => void child.kill('SIGKILL') };
}
