import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { capabilityNames } from '../../trees/run/capabilities.js';
import { compileFilter } from '../../trees/run/seccomp/filter.js';
import { interpret } from '../../trees/run/seccomp/interpret.js';
import { parseProfile } from '../../trees/run/seccomp/profile.js';
import { ALLOW, call, errno, i386, place, x86 } from '../support/seccomp.js';

describe('compiled filters', () => {
  const names = ['read', 'write', 'open', 'close', 'ioctl', 'clone', 'socket', 'openat2', 'file_setattr', 'chown32'];
  const actions = [
    'SCMP_ACT_ALLOW',
    'SCMP_ACT_ERRNO',
    'SCMP_ACT_KILL',
    'SCMP_ACT_LOG',
    'SCMP_ACT_TRAP',
    'SCMP_ACT_TRACE',
  ] as const;
  const results = {
    SCMP_ACT_ALLOW: ALLOW,
    SCMP_ACT_ERRNO: errno(0),
    SCMP_ACT_KILL: 0,
    SCMP_ACT_LOG: 0x7ffc_0000,
    SCMP_ACT_TRAP: 0x0003_0000,
    SCMP_ACT_TRACE: 0x7ff0_0000,
  };
  const compare = {
    SCMP_CMP_NE: (a: bigint, b: bigint) => a !== b,
    SCMP_CMP_LT: (a: bigint, b: bigint) => a < b,
    SCMP_CMP_LE: (a: bigint, b: bigint) => a <= b,
    SCMP_CMP_EQ: (a: bigint, b: bigint) => a === b,
    SCMP_CMP_GE: (a: bigint, b: bigint) => a >= b,
    SCMP_CMP_GT: (a: bigint, b: bigint) => a > b,
    SCMP_CMP_MASKED_EQ: (a: bigint, mask: bigint, value: bigint) => (a & mask) === (value & mask),
  };
  const operators = [
    'SCMP_CMP_NE',
    'SCMP_CMP_LT',
    'SCMP_CMP_LE',
    'SCMP_CMP_EQ',
    'SCMP_CMP_GE',
    'SCMP_CMP_GT',
    'SCMP_CMP_MASKED_EQ',
  ] as const;
  // Values near each other and near the borders of both halves, so that comparisons come out either way.
  const word = fc.oneof(
    fc.bigInt(0n, 4n),
    fc.bigInt(0xffff_fffen, 0x1_0000_0002n),
    fc.bigInt((5n << 32n) - 1n, (5n << 32n) + 1n),
    fc.bigInt(0xffff_ffff_ffff_fffdn, 0xffff_ffff_ffff_ffffn),
  );
  const action = fc.constantFrom(...actions);
  const rule = fc.record({
    names: fc.array(fc.constantFrom(...names, ...[...x86.numbers.keys()].slice(20, 200)), {
      minLength: 1,
      maxLength: 40,
    }),
    action,
    errnoRet: fc.integer({ min: 0, max: 4095 }),
    args: fc.array(
      fc.record({
        index: fc.integer({ min: 0, max: 5 }),
        value: word.map((value) => `0x${value.toString(16)}`),
        valueTwo: word.map((value) => `0x${value.toString(16)}`),
        op: fc.constantFrom(...operators),
      }),
      { maxLength: 3 },
    ),
  });
  type Rule = typeof rule extends fc.Arbitrary<infer T> ? T : never;

  const result = (name: (typeof actions)[number], number: number): number =>
    results[name] + (name === 'SCMP_ACT_ERRNO' || name === 'SCMP_ACT_TRACE' ? number : 0);

  const holds = ({ op, value, valueTwo }: Rule['args'][number], argument: bigint): boolean =>
    compare[op](argument, BigInt(value), BigInt(valueTwo));

  function expected(
    rules: readonly Rule[],
    fallback: (typeof actions)[number],
    name: string,
    args: readonly bigint[],
  ): number {
    const own = rules.filter(({ names: list }) => list.includes(name));
    const conditional = own.find(({ args: conditions }) => {
      const outcomes = new Set(conditions.map((condition) => holds(condition, args[condition.index] ?? 0n)));
      const twice = new Set(conditions.map(({ index }) => index)).size < conditions.length;
      return conditions.length > 0 && (twice ? outcomes.has(true) : !outcomes.has(false));
    });
    const chosen = conditional ?? own.find(({ args: conditions }) => conditions.length === 0);
    return chosen === undefined ? result(fallback, 1) : result(chosen.action, chosen.errnoRet);
  }

  it('do for every call what the profile says', () => {
    const known = [...x86.numbers.keys()];
    fc.assert(
      fc.property(
        fc.array(rule, { maxLength: 60 }),
        action,
        fc.array(
          fc.tuple(
            fc.oneof(fc.constantFrom(...names), fc.constantFrom(...known)),
            fc.array(word, { minLength: 6, maxLength: 6 }),
          ),
          {
            minLength: 30,
            maxLength: 60,
          },
        ),
        (syscalls, defaultAction, calls) => {
          const architectures = ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86'];
          const profile = parseProfile(JSON.stringify({ defaultAction, architectures, syscalls }), 'random');
          const program = compileFilter(profile, place());
          for (const { audit, numbers } of [x86, i386]) {
            for (const [name, args] of calls) {
              const number = numbers.get(name);
              if (number === undefined) continue;
              const got = interpret(program, { number, machine: audit, args });
              assert.equal(got, expected(syscalls, defaultAction, name, args), `${name}(${args.join(', ')})`);
            }
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it('are refused when they get longer than the kernel takes', () => {
    const syscalls = Array.from({ length: 1200 }, (_, index) => ({
      names: ['dup'],
      action: 'SCMP_ACT_ERRNO',
      args: [{ index: 0, value: index, op: 'SCMP_CMP_GT' }],
    }));
    const profile = parseProfile(JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW', syscalls }), 'long');
    assert.throws(() => compileFilter(profile, place()), RangeError);
  });

  it('know every capability', () => {
    const profile = parseProfile(
      JSON.stringify({
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: capabilityNames.map((name) => ({
          names: ['dup'],
          action: 'SCMP_ACT_KILL',
          includes: { caps: [`CAP_${name}`] },
        })),
      }),
      'capabilities',
    );
    assert.equal(call(compileFilter(profile, place({ capabilities: [] })), 'dup'), ALLOW);
  });
});
