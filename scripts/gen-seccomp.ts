// Compiles the built-in profile of system calls for the capabilities that containers have by default.
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defaultCapabilities } from '../trees/run/capabilities.js';
import { builtInProfile, packFilter } from '../trees/run/seccomp/built-in.js';
import { compileFilter } from '../trees/run/seccomp/filter.js';
import { machineOf } from '../trees/run/seccomp/syscalls.js';

const lines = (['x64', 'arm64'] as const).map((arch) => {
  const machine = machineOf(arch);
  if (machine === undefined) throw new Error(`no table of system calls for ${arch}`);
  // The profile does not depend on the kernel.
  const program = compileFilter(builtInProfile(), { machine, capabilities: defaultCapabilities, kernel: '5.12' });
  const text = packFilter(program).match(/.{1,100}/g) ?? [];
  return `  ${arch}:\n${text.map((part) => `    '${part}'`).join(' +\n')},`;
});
const path = fileURLToPath(new URL('../trees/run/seccomp/built-in-filters.ts', import.meta.url));
writeFileSync(
  path,
  `/** The built-in profile, compiled. Written by scripts/gen-seccomp.ts; a test compares them. */
export const builtInFilters: Readonly<Record<'x64' | 'arm64', string>> = {
${lines.join('\n')}
};
`,
);
