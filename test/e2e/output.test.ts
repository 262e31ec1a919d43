import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { projectRoot } from '../support/rig.js';

const binPath = join(projectRoot, 'dist/cli/bin.js');

/** Runs a line for the shell, in which `"$1" "$2"` is the command. */
const shell = (script: string) =>
  spawnSync('/bin/bash', ['-c', script, 'bash', process.execPath, binPath], { encoding: 'utf8' });

/** Runs a command into a pipe that holds one page, and begins to read it after a while. */
const SLOW_READER = `
  use Fcntl; pipe(my $reader, my $writer); fcntl($writer, 1031, 4096) or die "F_SETPIPE_SZ: $!";
  my $pid = fork(); if (!$pid) { open(STDOUT, '>&', $writer); close($reader); exec(@ARGV) or die; }
  close($writer); sleep(1); while (my $line = <$reader>) { print $line; } waitpid($pid, 0); exit($? >> 8);`;

describe('what a command prints', () => {
  it('comes whole to a slow reader', { skip: existsSync('/usr/bin/perl') ? false : 'needs perl' }, () => {
    const words = [process.execPath, binPath, 'run', '--help'];
    const whole = spawnSync(words[0] ?? '', words.slice(1), { encoding: 'utf8' });
    assert.ok(whole.stdout.length > 3 * 4096, `${whole.stdout.length} bytes`);
    const slow = spawnSync('perl', ['-e', SLOW_READER, ...words], { encoding: 'utf8' });
    assert.deepEqual([slow.status, slow.stderr, slow.stdout], [0, '', whole.stdout]);
  });

  it('may be left by its reader', () => {
    const { stdout, stderr } = shell('"$1" "$2" --help | true; echo "${PIPESTATUS[0]}"');
    assert.deepEqual([stdout, stderr], ['0\n', '']);
  });

  it('is missed where it cannot be written', () => {
    const { status, stderr } = shell('"$1" "$2" --help >/dev/full');
    assert.deepEqual([status, stderr], [1, 'error: cannot write to standard output: no space left on device\n']);
  });
});
