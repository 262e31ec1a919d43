// Builds the static programs: build.mjs launch|init OUTPUT_DIRECTORY Release|Debug [COMPILER FLAG…]
//
// musl-gcc makes them small (tens of kilobytes) and quick to start; the C library's own -static where it is missing.
// They run inside any tree, so they must not need a dynamic loader. Debug: the launcher, which runs on the host, gets
// ASan and UBSan (dynamic); the init gets UBSan traps, which need no library.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { arch } from 'node:process';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const [name, output, configuration, ...more] = process.argv.slice(2);
/** What the init has in common with the launcher, besides all that reads launch plans (plan*.c). */
const shared = new Set([
  'channel.c',
  'landlock.c',
  'notify.c',
  'privileges.c',
  'processes.c',
  'request.c',
  'seccomp.c',
  'util.c',
]);
const sources = {
  launch: cFiles(here),
  init: [
    ...cFiles(join(here, '..', 'init')),
    ...cFiles(here).filter((file) => shared.has(basename(file)) || basename(file).startsWith('plan')),
  ],
}[name];
if (sources === undefined || !['Release', 'Debug'].includes(configuration)) {
  process.stderr.write('usage: build.mjs launch|init OUTPUT_DIRECTORY Release|Debug [COMPILER FLAG…]\n');
  process.exit(2);
}

const triplet = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' }[arch] ?? '';
// musl has no kernel headers of its own; searched last, so that they never hide musl's.
const kernelHeaders = ['/usr/include', `/usr/include/${triplet}`].flatMap((path) => ['-idirafter', path]);
const version = JSON.parse(readFileSync(join(here, '..', '..', 'package.json'), 'utf8')).version;
const warnings =
  '-Wall -Wextra -Werror -Wshadow -Wformat=2 -Wundef -Wpointer-arith -Wvla -Wstrict-prototypes -Wmissing-prototypes ' +
  '-Wswitch-enum -Wwrite-strings -Wcast-align -Wnull-dereference';
const common = ['-std=c17', '-D_GNU_SOURCE', `-DTREES_VERSION="${version}"`, ...warnings.split(' ')];
const hardening = ['-fstack-protector-strong', '-fno-strict-aliasing', '-fno-strict-overflow'];
const linking = ['-Wl,-z,relro', '-Wl,-z,now', '-Wl,-z,noexecstack'];
const release = ['-Os', '-s', '-static'];
const musl = [...common, ...hardening, ...kernelHeaders];

/** Compilers with their options, best first. @type {[string, string[]][]} */
const attempts =
  configuration === 'Release'
    ? [
        ['musl-gcc', [...musl, ...release]],
        ['cc', [...common, ...hardening, ...release, '-D_FORTIFY_SOURCE=2']],
      ]
    : name === 'launch'
      ? [
          [
            'cc',
            [
              ...common,
              '-O1',
              '-g',
              '-fno-omit-frame-pointer',
              '-fsanitize=address,undefined',
              '-fno-sanitize-recover=undefined',
            ],
          ],
        ]
      : [
          ['musl-gcc', [...musl, '-O1', '-g', '-static', '-fsanitize=undefined', '-fsanitize-undefined-trap-on-error']],
          ['cc', [...common, '-O1', '-g', '-static', '-fsanitize=undefined', '-fsanitize-undefined-trap-on-error']],
        ];
const [compiler, usual] = attempts.find(([candidate]) => onPath(candidate)) ?? attempts[0];
const flags = [...usual, ...more];
const program = join(output, `trees-${name}`);
// Replaced whole: containers may be starting from it right now.
const temporary = `${program}.${process.pid}`;
const objects = mkdtempSync(`${program}.`);
try {
  // Small, but for the logger: every byte that services write goes through it.
  const isLogger = (/** @type {string} */ file) => /^logs?(?:-.*)?\.c$/.test(basename(file));
  const fast = configuration === 'Release' ? sources.filter(isLogger) : [];
  const compiled = fast.map((file) => {
    const object = join(objects, `${basename(file)}.o`);
    compile([...flags, '-O2', '-c', file, '-o', object]);
    return object;
  });
  const rest = sources.filter((file) => !fast.includes(file));
  compile([...flags, ...linking, ...rest, ...compiled, '-o', temporary]);
} finally {
  rmSync(objects, { recursive: true, force: true });
}
renameSync(temporary, program);

/** @param {readonly string[]} words */
function compile(words) {
  const { error, status } = spawnSync(compiler, words, { stdio: 'inherit' });
  if (error) process.stderr.write(`error: cannot run ${compiler}: ${error.message}\n`);
  if (status === 0) return;
  rmSync(objects, { recursive: true, force: true });
  process.exit(1);
}

function cFiles(directory) {
  return readdirSync(directory)
    .filter((file) => file.endsWith('.c'))
    .sort()
    .map((file) => join(directory, file));
}

function onPath(command) {
  return (process.env.PATH ?? '').split(':').some((directory) => existsSync(join(directory, command)));
}
