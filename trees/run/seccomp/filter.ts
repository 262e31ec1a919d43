import type { BpfInstruction } from '../plan-security.js';
import { type Condition, type Decision, decide, type Place, RETURN_KILL_PROCESS, RETURN_MISSING } from './decisions.js';
import type { SeccompProfile } from './profile.js';

/**
 * Compiles a profile into a classic BPF program over `struct seccomp_data` (linux/seccomp.h): the machine is checked
 * (others than those that the profile is for are killed), then numbers are found by binary search over runs of neighbours with the same decision, then arguments are compared.
 *
 * The program is made from its end: whatever it jumps to exists already, and equal ends are shared while they are in
 * reach of a conditional jump (255 instructions).
 *
 * @throws RangeError when the program gets longer than the kernel takes
 */
export function compileFilter(profile: SeccompProfile, place: Place): BpfInstruction[] {
  const { machine } = place;
  const wanted = architectures(profile, machine.scmp);
  const assembler = new Assembler();
  let otherMachines = assembler.result(RETURN_KILL_PROCESS);
  for (const { scmp, audit, numbers } of machine.companions) {
    if (!wanted.has(scmp)) continue;
    assembler.load(offset.number, decisions(profile, place, numbers, assembler));
    otherMachines = assembler.jump(code.jumpEqual, audit, assembler.here(), otherMachines);
  }
  const { marked } = machine;
  const unmarked = decisions(profile, place, machine.numbers, assembler);
  let start = unmarked;
  if (marked !== undefined) {
    const known = wanted.has(marked.scmp);
    if (known) assembler.and(~marked.bit >>> 0, decisions(profile, place, marked.numbers, assembler));
    const whenMarked = known ? assembler.here() : assembler.result(RETURN_MISSING);
    start = assembler.jump(code.jumpGreaterEqual, marked.bit, whenMarked, unmarked);
  }
  assembler.load(offset.number, start);
  assembler.load(offset.machine, assembler.jump(code.jumpEqual, machine.audit, assembler.here(), otherMachines));
  return assembler.program();
}

/** Machines whose programs a profile is for, besides the kernel's own, as it names them. */
function architectures(profile: SeccompProfile, own: string): ReadonlySet<string> {
  const map = (profile.archMap ?? []).filter(({ architecture }) => architecture === own);
  return new Set([...(profile.architectures ?? []), ...map.flatMap((entry) => entry.subArchitectures ?? [])]);
}

/** Finds the number that was loaded. */
function decisions(
  profile: SeccompProfile,
  place: Place,
  numbers: ReadonlyMap<string, number>,
  assembler: Assembler,
): Label {
  const { byNumber, fallback, unknown } = decide(profile, place, numbers);
  const highest = Math.max(...numbers.values());
  return searchTree(runsOf(byNumber, { conditional: [], otherwise: fallback }, highest, unknown), assembler);
}

/** `BPF_CLASS | BPF_SIZE | BPF_MODE` and so on, linux/bpf_common.h. */
const code = {
  loadWord: 0x20,
  and: 0x54,
  jump: 0x05,
  jumpEqual: 0x15,
  jumpGreater: 0x25,
  jumpGreaterEqual: 0x35,
  result: 0x06,
} as const;

/** Of the members of `struct seccomp_data`; both machines are little-endian. */
const offset = { number: 0, machine: 4, argument: (index: number) => 16 + 8 * index } as const;

const MAX_INSTRUCTIONS = 4096;
/** Of a conditional jump. */
const REACH = 255;

/** A place in the program, counted from its end. */
type Label = number;

class Assembler {
  /** Last instruction first. */
  readonly #reversed: BpfInstruction[] = [];
  readonly #results = new Map<number, Label>();

  here(): Label {
    return this.#reversed.length - 1;
  }

  program(): BpfInstruction[] {
    if (this.#reversed.length > MAX_INSTRUCTIONS) {
      throw new RangeError(
        `Expected a seccomp profile of at most ${MAX_INSTRUCTIONS} instructions, got ${this.#reversed.length}`,
      );
    }
    return this.#reversed.toReversed();
  }

  result(value: number): Label {
    const known = this.#results.get(value);
    // Some room: what jumps there is not placed yet.
    if (known !== undefined && this.here() - known < REACH - 8) return known;
    const label = this.#push(code.result, value);
    this.#results.set(value, label);
    return label;
  }

  /** Compares the word that was loaded. */
  jump(test: number, operand: number, whenTrue: Label, whenFalse: Label): Label {
    // The two trampolines that may come between are counted in.
    const isTrueFar = this.here() + 2 - whenTrue > REACH;
    const isFalseFar = this.here() + 2 - whenFalse > REACH;
    const trueLabel = isTrueFar ? this.#goto(whenTrue) : whenTrue;
    const falseLabel = isFalseFar ? this.#goto(whenFalse) : whenFalse;
    const next = this.here();
    return this.#push(test, operand, next - trueLabel, next - falseLabel);
  }

  load(at: number, then: Label): Label {
    this.#continueAt(then);
    return this.#push(code.loadWord, at);
  }

  and(mask: number, then: Label): Label {
    this.#continueAt(then);
    return this.#push(code.and, mask);
  }

  #continueAt(label: Label): void {
    if (label !== this.here()) this.#goto(label);
  }

  #goto(label: Label): Label {
    return this.#push(code.jump, this.here() - label);
  }

  #push(instruction: number, operand: number, jumpTrue = 0, jumpFalse = 0): Label {
    this.#reversed.push({ code: instruction, jumpTrue, jumpFalse, operand });
    return this.here();
  }
}

interface Run {
  readonly first: number;
  readonly decision: Decision;
}

/** Numbers from 0 on, neighbours that get the same unconditional result as one. */
function runsOf(
  byNumber: ReadonlyMap<number, Decision>,
  fallback: Decision,
  highest: number,
  unknown: number,
): readonly Run[] {
  const runs: Run[] = [];
  const add = (first: number, decision: Decision): void => {
    const last = runs.at(-1)?.decision;
    const same = last?.conditional.length === 0 && decision.conditional.length === 0;
    if (!same || last.otherwise !== decision.otherwise) runs.push({ first, decision });
  };
  for (let number = 0; number <= highest; number++) add(number, byNumber.get(number) ?? fallback);
  add(highest + 1, { conditional: [], otherwise: unknown });
  return runs;
}

function searchTree(runs: readonly Run[], assembler: Assembler): Label {
  const emit = (from: number, to: number): Label => {
    const [only] = runs.slice(from, to);
    if (only === undefined) throw new Error('no run of system calls');
    if (to - from === 1) return emitDecision(only.decision, assembler);
    const middle = from + Math.ceil((to - from) / 2);
    const upper = emit(middle, to);
    const lower = emit(from, middle);
    return assembler.jump(code.jumpGreaterEqual, runs[middle]?.first ?? 0, upper, lower);
  };
  return emit(0, runs.length);
}

function emitDecision({ conditional, otherwise }: Decision, assembler: Assembler): Label {
  let next = assembler.result(otherwise);
  for (const { conditions, result } of conditional.toReversed()) {
    let then = assembler.result(result);
    for (const condition of conditions.toReversed()) then = emitCondition(condition, then, next, assembler);
    next = then;
  }
  return next;
}

/** Arguments are 64 bits and the machine compares 32: high words first. */
function emitCondition(condition: Condition, yes: Label, no: Label, assembler: Assembler): Label {
  const { index, operator, value, second } = condition;
  const low = offset.argument(index);
  const high = low + 4;
  const [highValue, lowValue] = halves(value);
  const compare = (at: number, test: number, operand: number, whenTrue: Label, whenFalse: Label): Label =>
    assembler.load(at, assembler.jump(test, operand, whenTrue, whenFalse));
  const equal = (whenTrue: Label, whenFalse: Label): Label => {
    const lower = compare(low, code.jumpEqual, lowValue, whenTrue, whenFalse);
    return compare(high, code.jumpEqual, highValue, lower, whenFalse);
  };
  /** Above, or at least when `test` says so of the low words. */
  const above = (test: number, whenTrue: Label, whenFalse: Label): Label => {
    const lower = compare(low, test, lowValue, whenTrue, whenFalse);
    const same = assembler.jump(code.jumpEqual, highValue, lower, whenFalse);
    return assembler.load(high, assembler.jump(code.jumpGreater, highValue, whenTrue, same));
  };
  switch (operator) {
    case 'SCMP_CMP_EQ':
      return equal(yes, no);
    case 'SCMP_CMP_NE':
      return equal(no, yes);
    case 'SCMP_CMP_GT':
      return above(code.jumpGreater, yes, no);
    case 'SCMP_CMP_GE':
      return above(code.jumpGreaterEqual, yes, no);
    case 'SCMP_CMP_LE':
      return above(code.jumpGreater, no, yes);
    case 'SCMP_CMP_LT':
      return above(code.jumpGreaterEqual, no, yes);
    case 'SCMP_CMP_MASKED_EQ': {
      const masked = (at: number, mask: number, wanted: number, then: Label): Label => {
        if (mask === 0) return then;
        const test = assembler.jump(code.jumpEqual, wanted, then, no);
        return assembler.load(at, mask === 0xffff_ffff ? test : assembler.and(mask, test));
      };
      const [highWanted, lowWanted] = halves(value & second);
      return masked(high, highValue, highWanted, masked(low, lowValue, lowWanted, yes));
    }
  }
}

function halves(value: bigint): [high: number, low: number] {
  return [Number((value >> 32n) & 0xffff_ffffn), Number(value & 0xffff_ffffn)];
}
