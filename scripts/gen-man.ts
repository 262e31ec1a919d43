// Prints the manual page trees(1) in mdoc, from the same tables as --help.
import type { Command, OptionSpec } from '../trees/cli/command.js';
import { globalOptions } from '../trees/cli/globals.js';
import { registry } from '../trees/cli/registry.js';
import { aliasesOf } from '../trees/cli/tokens.js';

/** Text for the body of a macro line or paragraph: nothing in it may be taken for a request. */
function text(value: string): string {
  return value
    .replaceAll('\\', '\\e')
    .replace(/([.!?:]) (?=[A-Z])/g, '$1\n')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => (/^[.']/.test(line) ? `\\&${line}` : line))
    .join('\n');
}

/** A macro argument: quoted, so that words such as `No` or punctuation are not taken for macros. */
function argument(value: string): string {
  return `"${text(value).replaceAll('"', '\\(dq')}"`;
}

function option(name: string, spec: OptionSpec): string {
  const spellings = [...aliasesOf(spec).filter((alias) => alias.length === 1), name];
  const flags = spellings.map((word) => (word.length === 1 ? `Fl ${word}` : `Fl -${word}`)).join(' , ');
  const value = spec.type === 'boolean' ? '' : ` Ar ${spec.value ?? spec.choices?.join('|') ?? 'VALUE'}`;
  return `.It ${flags}${value}\n${text(`${spec.describe}.`)}\n`;
}

function optionList(options: Readonly<Record<string, OptionSpec>>): string {
  const items = Object.entries(options).map(([name, spec]) => option(name, spec));
  return items.length === 0 ? '' : `.Bl -tag -width indent -compact\n${items.join('')}.El\n`;
}

function section(command: Command, title: string, aliases: readonly string[]): string {
  const positionals = command.positionals.map((positional) => {
    const name = `Ar ${positional.name.toUpperCase()}${positional.variadic === true ? ' ...' : ''}`;
    return positional.required === true ? `.${name}\n` : `.Op ${name}\n`;
  });
  const names = [title, ...aliases].map((name) => `.Cm ${name}\n`).join('|\n');
  const rest = command.restName === undefined ? '' : `.Op Fl - Ar ${command.restName.replace('…', ' ...')}\n`;
  const about = [command.summary.replace(/^./, (first) => first.toUpperCase()), '.\n'].join('');
  const more = command.description === '' ? '' : `.Pp\n${text(command.description)}\n`;
  const examples = command.examples
    .map(([line, what]) => `.It Li ${argument(`trees ${line}`)}\n${text(what)}\n`)
    .join('');
  return [
    `.Ss ${argument(`trees ${title}`)}\n`,
    names,
    '.Op Ar options\n',
    ...positionals,
    rest,
    '.Pp\n',
    about,
    more,
    optionList(command.options),
    `.Bl -tag -width indent -compact\n${examples}.El\n`,
  ].join('');
}

async function manual(): Promise<string> {
  const parts: string[] = [];
  for (const entry of registry) {
    const loaded = await entry.load();
    if (loaded.kind === 'command') parts.push(section(loaded, loaded.name, entry.aliases ?? []));
    else {
      if (loaded.fallback !== undefined) parts.push(section(loaded.fallback, loaded.name, entry.aliases ?? []));
      for (const command of loaded.commands)
        parts.push(section(command, `${loaded.name} ${command.name}`, command.aliases));
    }
  }
  return `.Dd November 22, 2026
.Dt TREES 1
.Os
.Sh NAME
.Nm trees
.Nd install apps as OSTree deltas over shared bases and launch them in containers
.Sh SYNOPSIS
.Nm
.Ar APP
.Op Fl b Ar BASE
.Op Fl n Ar NAME
.Op Fl f
.Op Fl d
.Nm
.Ar COMMAND
.Op Ar options
.Op Ar arguments
.Sh DESCRIPTION
.Nm
installs applications as signed OSTree static deltas, composes each with the base it builds on into a tree of hard
links, and launches it in a container with a built-in init.
The first form installs
.Ar APP ,
or with
.Fl d
removes it and prunes the store.
An app may be written
.Ar NAME ,
.Ar NAME@RANGE
.Pq a semver range
or
.Ar FEED/NAME@RANGE .
.Sh GLOBAL OPTIONS
${optionList(globalOptions)}.Sh COMMANDS
${parts.join('')}.Sh FILES
.Bl -tag -width indent -compact
.It Pa /var/lib/trees
The store: repository, generations, data, feeds.
For a user
.Pa $XDG_DATA_HOME/trees .
Below the directory given with
.Fl -root ,
if any.
.It Pa /etc/trees/trees.yaml
Settings of the machine; those of the user are in
.Pa $XDG_CONFIG_HOME/trees/trees.yaml ,
those of a project in
.Pa trees.yaml
in the working directory.
.El
.Sh EXIT STATUS
0: all that was asked was done.
1: it failed.
2: the command line was wrong.
For
.Cm run :
the status of the process, 128+n if signal n ended it, 125 if
.Nm
failed before the process started, 126 if the command is not executable, 127 if it was not found.
.Sh SEE ALSO
.Xr minisign 1 ,
.Xr ostree 1
`;
}

process.stdout.write(await manual());
