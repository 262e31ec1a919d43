import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { TreesError } from '../../trees/errors.js';
import { digestFileSync } from '../compare.js';
import { hostEnvironment, runProcess } from '../process.js';
import type { BaseBuilder, BaseInputs, BuilderContext } from './builder.js';

/**
 * An Alpine-shaped root file system from what the building machine has: a static busybox and musl's dynamic linker. For
 * machines without an Alpine mirror. It has no package manager.
 */
export const busybox: BaseBuilder = { missing, resolve };

const BUSYBOX = ['/bin/busybox', '/usr/bin/busybox'];
const DIRECTORIES = [
  'bin',
  'dev',
  'etc/profile.d',
  'home',
  'lib',
  'media',
  'mnt',
  'opt',
  'proc',
  'root',
  'run',
  'sbin',
  'srv',
  'sys',
  'tmp',
  'usr/bin',
  'usr/lib',
  'usr/local/bin',
  'usr/local/lib',
  'usr/sbin',
  'usr/share',
  'var/cache',
  'var/empty',
  'var/lib',
  'var/local',
  'var/log',
  'var/opt',
  'var/spool',
  'var/tmp',
];
const MODES: Readonly<Record<string, number>> = { root: 0o700, tmp: 0o1777, 'var/tmp': 0o1777, 'var/empty': 0o555 };

async function missing(context: BuilderContext): Promise<string[]> {
  const lacks: string[] = [];
  const program = BUSYBOX.find((path) => existsSync(path));
  if (program === undefined || isDynamic(program))
    lacks.push('a statically linked busybox (Debian package busybox-static)');
  const linker = musl(context.arch);
  if (!existsSync(linker)) lacks.push(`${linker} (Debian package musl)`);
  return lacks;
}

function musl(arch: string): string {
  return `/lib/ld-musl-${arch === 'i686' ? 'i386' : arch}.so.1`;
}

/** Whether an ELF file asks for a dynamic linker: it then has a program header of type PT_INTERP (3). elf(5). */
function isDynamic(file: string): boolean {
  const elf = readFileSync(file);
  if (elf.readUInt32BE(0) !== 0x7f454c46 || elf[4] !== 2) return false;
  const [offset, size, count] = [Number(elf.readBigUInt64LE(0x20)), elf.readUInt16LE(0x36), elf.readUInt16LE(0x38)];
  return Array.from({ length: count }, (_, index) => elf.readUInt32LE(offset + index * size)).includes(3);
}

async function resolve(context: BuilderContext): Promise<BaseInputs> {
  const program = realpathSync(BUSYBOX.find((path) => existsSync(path)) ?? '/bin/busybox');
  const linker = realpathSync(musl(context.arch));
  const epoch = Math.floor(Math.max(statSync(program).mtimeMs, statSync(linker).mtimeMs) / 1000);
  return {
    digestOf: { busybox: digestFileSync(program), musl: digestFileSync(linker) },
    epoch: () => epoch,
    build: (rootfs) => assemble(context, { rootfs, program, linker }),
  };
}

async function assemble(
  context: BuilderContext,
  from: { rootfs: string; program: string; linker: string },
): Promise<void> {
  const at = (path: string): string => join(from.rootfs, path);
  for (const directory of DIRECTORIES) {
    mkdirSync(at(directory), { recursive: true });
    chmodSync(at(directory), MODES[directory] ?? 0o755);
  }
  const install = (source: string, path: string): void => {
    copyFileSync(source, at(path));
    chmodSync(at(path), 0o755);
  };
  install(from.program, 'bin/busybox');
  const linker = musl(context.arch).slice(1);
  install(from.linker, linker);
  // The C library is the dynamic linker; programs name it by this.
  symlinkSync(`/${linker}`, at(`lib/libc.musl-${context.arch}.so.1`));
  symlinkSync('../run', at('var/run'));
  symlinkSync('../run/lock', at('var/lock'));
  const env = hostEnvironment;
  const applets = await runProcess(context, [from.program, '--list-full'], {
    step: 'list the applets of busybox',
    env,
    capture: true,
  });
  for (const applet of applets.split('\n').filter((path) => path !== '' && path !== 'bin/busybox')) {
    if (applet.includes('..') || existsSync(at(applet))) continue;
    mkdirSync(dirname(at(applet)), { recursive: true });
    symlinkSync('/bin/busybox', at(applet));
  }
  const banner = await runProcess(context, [from.program], { step: 'ask busybox for its version', env, capture: true });
  const version = /BusyBox v(\d[\d.]*)/.exec(banner)?.[1];
  if (version === undefined) {
    throw new TreesError('BUILD_FAILED', `cannot use ${from.program}: it does not say which version of BusyBox it is`);
  }
  for (const [path, content] of Object.entries(settings(version, context.arch))) {
    writeFileSync(at(path), content);
    chmodSync(at(path), path === 'etc/shadow' ? 0o640 : 0o644);
  }
}

function settings(version: string, arch: string): Record<string, string> {
  const release = {
    NAME: 'alp',
    ID: 'alp',
    ID_LIKE: 'alpine',
    VERSION_ID: version,
    PRETTY_NAME: `alp (busybox ${version} and musl)`,
  };
  const users = [
    'root:0:0:/root:/bin/sh',
    'bin:1:1:/bin:/sbin/nologin',
    'daemon:2:2:/sbin:/sbin/nologin',
    'www-data:33:33:/var/www:/sbin/nologin',
    'nobody:65534:65534:/:/sbin/nologin',
  ];
  const rows = users.map((user) => user.split(':'));
  return {
    'etc/os-release': Object.entries(release)
      .map(([key, value]) => `${key}="${value}"\n`)
      .join(''),
    'etc/passwd': rows
      .map(([name, uid, gid, home, shell]) => `${name}:x:${uid}:${gid}:${name}:${home}:${shell}\n`)
      .join(''),
    'etc/group': `${rows.map(([name, , gid]) => `${name}:x:${gid}:\n`).join('')}tty:x:5:\nusers:x:100:\n`,
    'etc/shadow': rows.map(([name]) => `${name}:*::0:::::\n`).join(''),
    'etc/shells': '/bin/sh\n/bin/ash\n',
    'etc/profile': `export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nfor file in /etc/profile.d/*.sh; do\n  [ ! -r "$file" ] || . "$file"\ndone\nunset file\n`,
    [`etc/ld-musl-${arch}.path`]: '/lib\n/usr/local/lib\n/usr/lib\n',
  };
}
