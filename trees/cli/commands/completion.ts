import { usageError } from '../../errors.js';
import { defineCommand } from '../command.js';
import { complete } from '../complete.js';

const scripts: Readonly<Record<string, string>> = {
  bash: `# trees completion for bash: eval "$(trees completion bash)"
_trees() {
  local reply word=\${COMP_WORDS[COMP_CWORD]}
  mapfile -t reply < <(trees completion --words -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  case "\${reply[0]-}" in
    :file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
    :directory) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$word") ;;
    *) COMPREPLY=("\${reply[@]}") ;;
  esac
}
complete -F _trees trees
`,
  zsh: `#compdef trees
# trees completion for zsh: source <(trees completion zsh)
_trees() {
  local -a reply
  reply=("\${(@f)$(trees completion --words -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  case "$reply[1]" in
    :file) _files ;;
    :directory) _files -/ ;;
    *) compadd -a reply ;;
  esac
}
compdef _trees trees
`,
  fish: `# trees completion for fish: trees completion fish | source
function __trees_complete
  set -l words (commandline -opc) (commandline -ct)
  set -l reply (trees completion --words -- $words[2..-1] 2>/dev/null)
  switch "$reply[1]"
    case :file
      __fish_complete_path (commandline -ct)
    case :directory
      __fish_complete_directories (commandline -ct)
    case '*'
      printf '%s\\n' $reply
  end
end
complete -c trees -f -a '(__trees_complete)'
`,
};

export const command = defineCommand({
  name: 'completion',
  summary: 'print a shell completion script',
  description: 'Completes commands, options, installed apps, apps and bases that the known feeds offer, and paths.',
  positionals: [{ name: 'shell', describe: 'bash, zsh or fish', choices: Object.keys(scripts) }],
  options: {
    words: { type: 'boolean', describe: 'print what may follow the words after "--"; the scripts call this' },
  },
  examples: [
    ['completion bash > /etc/bash_completion.d/trees', 'for every bash'],
    ['completion fish | source', 'for this fish'],
  ],
  restName: 'WORD…',
  async handler(context, args) {
    if (args.words === true) {
      const words = await complete(args.rest, context.settings);
      return { json: words, text: words.map((word) => `${word}\n`).join('') };
    }
    const script = args.shell === undefined ? undefined : scripts[args.shell];
    if (script === undefined) {
      throw usageError(
        `Expected SHELL to be ${Object.keys(scripts).join(' or ')}, got ${args.shell === undefined ? 'nothing' : `"${args.shell}"`}`,
        'for example: trees completion bash',
      );
    }
    return { json: { shell: args.shell, script }, text: script };
  },
});
