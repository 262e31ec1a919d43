import * as z from 'zod/mini';

/** What the schemas of apps and services are made of. All times are in seconds. */

const words = z.array(z.string().check(z.regex(/^[^\0]*$/, 'expected a string without NUL'))).check(z.minLength(1));

export const command = words.check(
  z.refine((list) => list[0] !== '', 'expected the first word, the program, not to be empty'),
);
export const path = z
  .string()
  .check(z.regex(/^\/[^\0]*$/, 'expected an absolute path'), z.maxLength(4095))
  .check(z.refine((value) => !value.split('/').includes('..'), 'expected a path without ".."'));
export const environment = z.record(
  z.string().check(z.regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'expected a variable name')),
  z.string().check(z.regex(/^[^\0]*$/, 'expected a value without NUL')),
);
export const seconds = z.number().check(z.nonnegative(), z.maximum(4_000_000));
export const positiveSeconds = z.number().check(z.minimum(0.001), z.maximum(4_000_000));
export const word = z
  .string()
  .check(z.regex(/^[a-z0-9][a-z0-9._-]{0,63}$/, 'expected a name of lowercase letters, digits, ".", "_" and "-"'));
/** `USER`, `UID`, `USER:GROUP` or `UID:GID`; names are looked up in the tree's own passwd and group files. */
export const user = z
  .string()
  .check(z.regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]*\$?(:[A-Za-z0-9_][A-Za-z0-9_.-]*\$?)?$/, 'expected USER[:GROUP]'));
export const port = z.int().check(z.minimum(1), z.maximum(65535));

/** Signals that make sense for stopping a process, without the `SIG` prefix. */
export const stopSignalNames = ['TERM', 'INT', 'HUP', 'QUIT', 'USR1', 'USR2', 'WINCH', 'KILL'] as const;
export const stopSignal = z.enum(stopSignalNames);

/** Name of a file in a directory of PATH. */
export const commandName = z
  .string()
  .check(z.regex(/^[A-Za-z0-9_][A-Za-z0-9._+-]{0,63}$/, 'expected the name of a command, without a slash'));
