import { spawn } from 'node:child_process';
import { eventually } from './container.js';

/** A shell command on a terminal of the host (40 rows, 111 columns), typed at. Needs script(1). */
export function onTerminal(command: string) {
  const child = spawn('script', ['-qefc', `stty rows 40 cols 111; ${command}`, '/dev/null'], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { PATH: process.env['PATH'] ?? '', SHELL: '/bin/sh' },
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const done = new Promise<number | null>((resolve) => child.once('close', resolve));
  let seen = 0;
  return {
    done,
    output: () => output,
    type: (text: string) => child.stdin.write(text),
    /** Waits for text that has not been waited for yet. */
    see: async (text: string) => {
      await eventually(
        () => output.includes(text, seen),
        () => `"${text}" in ${JSON.stringify(output.slice(seen))}`,
      );
      seen = output.indexOf(text, seen) + text.length;
    },
    kill: () => child.kill('SIGKILL'),
  };
}
