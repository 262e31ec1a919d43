import type { BpfInstruction } from '../plan-security.js';

/** What a system call looks like to a filter: `struct seccomp_data`. */
export interface Call {
  readonly number: number;
  readonly machine: number;
  readonly args: readonly bigint[];
}

/**
 * Runs a filter as the kernel's interpreter does, and refuses what its checker refuses: jumps out of the program, unknown
 * instructions, loads that are no aligned words of the data, a last instruction that does not return.
 *
 * @returns the kernel's SECCOMP_RET_*
 * @throws Error for what the kernel would refuse
 */
export function interpret(program: readonly BpfInstruction[], call: Call): number {
  const data = Buffer.alloc(64);
  data.writeUInt32LE(call.number, 0);
  data.writeUInt32LE(call.machine, 4);
  for (const [index, value] of call.args.entries()) data.writeBigUInt64LE(BigInt.asUintN(64, value), 16 + index * 8);
  let accumulator = 0;
  for (let at = 0; ; ) {
    const instruction = program[at];
    if (instruction === undefined) throw new Error(`jumped out of the program, to ${at}`);
    const { code, jumpTrue, jumpFalse, operand } = instruction;
    if (jumpTrue > 255 || jumpFalse > 255) throw new Error(`instruction ${at} jumps too far`);
    const branch = (condition: boolean): void => void (at += 1 + (condition ? jumpTrue : jumpFalse));
    switch (code) {
      case 0x20:
        if (operand % 4 !== 0 || operand > 60) throw new Error(`instruction ${at} loads from ${operand}`);
        accumulator = data.readUInt32LE(operand);
        at += 1;
        break;
      case 0x54:
        accumulator = (accumulator & operand) >>> 0;
        at += 1;
        break;
      case 0x05:
        at += 1 + operand;
        break;
      case 0x15:
        branch(accumulator === operand);
        break;
      case 0x25:
        branch(accumulator > operand);
        break;
      case 0x35:
        branch(accumulator >= operand);
        break;
      case 0x06:
        return operand;
      default:
        throw new Error(`instruction ${at} is unknown: ${code}`);
    }
  }
}
