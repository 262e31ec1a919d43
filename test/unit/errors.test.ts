import assert from 'node:assert/strict';
import { lstatSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { reportError } from '../../trees/cli/errors.js';
import { reasonOf } from '../../trees/errors.js';

/** The error of a call that fails. */
function failure(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  throw new Error('the call did not fail');
}

describe('system errors in words', () => {
  it('reasonOf leaves out the code, the call and the path', () => {
    assert.equal(reasonOf(failure(() => readFileSync('/nonexistent/file'))), 'no such file or directory');
    assert.equal(reasonOf(failure(() => readFileSync('/'))), 'illegal operation on a directory');
    assert.equal(reasonOf(new Error('EX: a, b')), 'EX: a, b');
    assert.equal(reasonOf('text'), 'text');
  });

  it('reportError has a word for what a call does', () => {
    const absent = '/nonexistent/directory';
    assert.equal(
      reportError(failure(() => readdirSync(absent))).message,
      `cannot list ${absent}: no such file or directory`,
    );
    assert.equal(
      reportError(failure(() => lstatSync(absent))).message,
      `cannot look at ${absent}: no such file or directory`,
    );
  });

  it('reportError names the path and says what to do', () => {
    const { code, message, hint } = reportError(failure(() => mkdirSync('/proc/version')));
    assert.equal(code, 'SYSTEM_ERROR');
    assert.match(message, /\/proc\/version: something else is in its place/);
    assert.match(hint ?? '', /another path/);
  });

  it('control characters of others do not reach the terminal', () => {
    const { message } = reportError(
      Object.assign(new Error('EIO: x'), { syscall: 'open', code: 'EIO', path: '/\u001b[2J' }),
    );
    assert.equal(message, 'cannot open /?[2J: x');
  });
});
