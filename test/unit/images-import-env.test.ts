import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { load } from 'js-yaml';
import { convertEnvironment } from '../../images/import-env/convert.js';
import { importEnvironment } from '../../images/import-env/definition.js';
import { parseShell, splitWords } from '../../images/import-env/shell.js';
import { TreesError } from '../../trees/errors.js';

describe('the shell language of image.env', () => {
  it('has assignments, quotes, comments, continued lines and commands', () => {
    const { variables, commands } = parseShell(
      [
        '# comment; x=1',
        "services='a b'",
        'export one=1 two="2 \\" \\\\" # behind',
        'long="first \\',
        'second"',
        'joined=a\\',
        "b'c'",
        "empty=''",
        'ulimit -n 1024; last=yes',
        'several=lines\\ with\\ spaces',
      ].join('\n'),
    );
    assert.deepEqual(Object.fromEntries(variables), {
      services: 'a b',
      one: '1',
      two: '2 " \\',
      long: 'first second',
      joined: 'abc',
      empty: '',
      last: 'yes',
      several: 'lines with spaces',
    });
    assert.deepEqual(commands, [['ulimit', '-n', '1024']]);
    assert.deepEqual(splitWords(`--a 'b c' "d" e\\ f`), ['--a', 'b c', 'd', 'e f']);
  });

  for (const [text, message] of [
    ['a=1\nb=$(date)', /line 2: "\$" would have to be interpreted/],
    ['a="\n`date`"', /line 1: "`" would have to be/],
    ['a=1 | b', /"\|" would have to be/],
    ["a='open", /line 1: the quote ' is never closed/],
  ] as const) {
    it(`executes nothing: ${JSON.stringify(text)}`, () => assert.throws(() => parseShell(text), message));
  }
});

const convert = (env: string, conf?: string): ReturnType<typeof convertEnvironment> =>
  convertEnvironment(parseShell(env), conf === undefined ? undefined : parseShell(conf));

describe('the conversion of an image.env', () => {
  it('makes a service of each job', () => {
    const { name, run, notes } = convert(`
      services='web db_main once'
      web_exec='/entry/entry.sh'
      web_args='-v,,--name=a b,,x'
      web_res='unlimited'
      web_port='8080'
      web_health_exec='curl -f "http://localhost/x y"'
      web_health_inter='10' web_health_ttl='30' web_health_to='1m30s'
      db_main_res=3
      once_exec='sh -c "echo done"'
      once_when_freq='once:exitSuccess'
      once_when_src='db_main'
      once_when_to='90s'
      once_to=5
      watches='db_main remote_one'`);
    assert.equal(name, 'web');
    assert.deepEqual(run, {
      services: {
        web: {
          exec: ['/entry/entry.sh', '-v', '--name=a b', 'x'],
          restart: 'always',
          health: { exec: ['curl', '-f', 'http://localhost/x y'], interval: 10, timeout: 90, retries: 3 },
        },
        'db-main': { exec: ['/usr/bin/db-main'], restart: { policy: 'always', max: 3 } },
        once: {
          exec: ['sh', '-c', 'echo done'],
          restart: 'never',
          when: { source: 'db-main', once: 'exit-success', timeout: 90 },
        },
      },
      ports: [{ port: 8080, name: 'web' }],
    });
    assert.deepEqual(notes, [
      'once_to=5 is left out: services run as long as they like',
      'watches of services elsewhere (remote-one) are left out: there is no Consul',
    ]);
  });

  it('uses the defaults that containerpilot’s template had', () => {
    const { run, notes } = convert(
      "services='etcd'\netcd_port='2379'\netcd_health_exec='nc 127.0.0.1 2379'\nwatches=''",
    );
    assert.deepEqual(run.services?.['etcd'], {
      exec: ['/usr/bin/etcd'],
      restart: 'never',
      health: { tcp: 2379, interval: 300, timeout: 60, retries: 1 },
    });
    assert.match(notes.join(), /became a check that connects to port 2379/);
  });

  it('knows intervals', () => {
    const { run } = convert("services=a\na_when_freq='interval:500ms'");
    assert.deepEqual(run.services?.['a']?.when, { interval: 0.5 });
  });

  it('takes volumes, tmpfs, environment and command of an image.conf', () => {
    const { name, run, notes } = convert(
      "services=''",
      `ulimit -n 917504
      RUNC_IMAGE_NAME=tool
      RUNC_IMAGE_CONFIG="\\
        --bind /srv/tool/data:/vol:rw --tmpfs /root \\
        --env A=b=c --env 'PATHS=/a /b' --args /bin/sh --args=-x --label 'port=9000'"`,
    );
    assert.equal(name, 'tool');
    assert.deepEqual(run, {
      exec: ['/bin/sh', '-x'],
      env: { A: 'b=c', PATHS: '/a /b' },
      volumes: [{ path: '/vol' }],
      tmpfs: ['/root'],
    });
    assert.equal(notes.length, 3);
    assert.match(notes[0] ?? '', /trees run --ulimit nofile=917504/);
    assert.match(notes[1] ?? '', /trees run -v \/srv\/tool\/data:\/vol/);
    assert.match(notes[2] ?? '', /the option --label port=9000 is left out/);
  });

  for (const [env, message] of [
    ['services=a\na_res=often', /a_res: expected "unlimited", "never" or a number, got "often"/],
    ['services=a\na_port=99999', /a_port: expected a port, got "99999"/],
    ['services=a\na_when_freq=once:lunch', /a_when_freq: expected once:EVENT/],
    ['services=a\na_when_freq=once:healthy', /a_when_src: expected the service whose event counts, got none/],
    ["services=a\na_health_exec=x\na_health_inter='soon'", /a_health_inter: expected a time .* got "soon"/],
  ] as const) {
    it(`refuses ${env.split('\n').at(-1)}`, () => assert.throws(() => convert(env), message));
  }
});

describe('an imported definition', () => {
  let directory = '';
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'trees-import-'));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  it('is a valid YAML file that says what is left to do', () => {
    writeFileSync(join(directory, 'image.env'), "services='etcd'\netcd_res='unlimited'\n");
    writeFileSync(join(directory, 'image.conf'), 'RUNC_IMAGE_NAME=etcd\nRUNC_IMAGE_CONFIG="--tmpfs /x"\n');
    const { definition, notes, yaml } = importEnvironment('image.env', { cwd: directory, base: 'alp' });
    assert.deepEqual(load(yaml), definition);
    assert.deepEqual([definition.kind, definition.name], ['app', 'etcd']);
    assert.deepEqual(notes.length, yaml.split('\n').filter((line) => line.startsWith('# ')).length);
    assert.match(yaml, /services:\n {4}etcd:\n {6}exec:\n {8}- \/usr\/bin\/etcd\n {6}restart: always\n/);
  });

  it('is refused with the file and the reason', () => {
    const rejects = (name: string, message: RegExp): void =>
      assert.throws(
        () => importEnvironment(name, { cwd: directory, base: 'deb' }),
        (error) => error instanceof TreesError && error.code === 'DEFINITION_INVALID' && message.test(error.message),
      );
    rejects('missing.env', /cannot convert .*missing\.env: no such file/i);
    writeFileSync(join(directory, 'image.env'), 'services=a\na_exec=$(x)\n');
    rejects('image.env', /cannot convert .*image\.env: line 2: "\$" would have to be interpreted by a shell/);
    writeFileSync(join(directory, 'image.env'), "services='a'\na_when_freq='once:healthy'\na_when_src='b'\n");
    rejects('image.env', /b/);
  });
});
